#include "golden.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "error.h"
#include "json.h"
#include "lines.h"
#include "printable.h"

namespace kuaixun {
namespace {

// Rounding may turn the label only where the reference's first two stand close.
constexpr double close_margin = 0.25;

constexpr std::size_t quoted_of_a_text = 200;

GoldenCase parse_case(std::string_view line, std::size_t classes) {
  const Json json = Json::parse(line);
  json.expect_only({"text", "cleaned", "ids", "logits"}, "a golden case");
  GoldenCase golden;
  golden.text = json.at("text").string("text");
  golden.cleaned = json.at("cleaned").string("cleaned");
  for (const Json& id : json.at("ids").array("ids")) {
    const std::int64_t number = id.integer("ids");
    if (number < 0 || number > std::numeric_limits<std::int32_t>::max()) throw FormatError("an id is out of range");
    golden.ids.push_back(static_cast<std::int32_t>(number));
  }
  for (const Json& logit : json.at("logits").array("logits")) golden.logits.push_back(logit.real("logits"));
  if (golden.logits.size() != classes) throw FormatError("a case has as many logits as there are labels");
  return golden;
}

double largest_difference(const double* left, const std::vector<double>& right) {
  double largest = 0.0;
  for (std::size_t i = 0; i < right.size(); ++i) {
    const double difference = std::fabs(left[i] - right[i]);
    if (std::isnan(difference)) return difference;
    largest = std::max(largest, difference);
  }
  return largest;
}

std::ptrdiff_t best(const double* logits, std::size_t classes) {
  return std::max_element(logits, logits + classes) - logits;
}

// How far the best logit stands above the second.
double margin(std::vector<double> logits) {
  std::partial_sort(logits.begin(), logits.begin() + 2, logits.end(), std::greater<>());
  return logits[0] - logits[1];
}

[[noreturn]] void refuse(std::size_t number, const GoldenAnswers& answers, const std::string& reason) {
  throw GoldenError("golden case " + std::to_string(number + 1) + " of " + answers.folder + " on the engine " +
                    answers.engine + ": " + reason);
}

}  // namespace

std::vector<GoldenCase> parse_golden(std::string_view content, std::size_t classes) {
  std::vector<GoldenCase> cases;
  Lines lines(content);
  while (const auto line = lines.next()) {
    try {
      cases.push_back(parse_case(*line, classes));
    } catch (const FormatError& error) {
      lines.fail(error.what());
    }
  }
  if (cases.empty()) throw FormatError("it holds no case, so nothing would be checked");
  return cases;
}

void check_golden_texts(const std::vector<GoldenCase>& cases, const TextPipeline& pipeline,
                        const GoldenAnswers& answers) {
  EncodingScratch scratch;
  std::string cleaned;
  std::vector<std::int32_t> ids(pipeline.parameters().max_tokens);
  for (std::size_t number = 0; number < cases.size(); ++number) {
    const GoldenCase& golden = cases[number];
    pipeline.clean(golden.text, Surrogates::replace, scratch, cleaned);
    if (cleaned != golden.cleaned) {
      refuse(number, answers,
             "the text cleans to " + shortened(cleaned, quoted_of_a_text) + ", not to " +
                 shortened(golden.cleaned, quoted_of_a_text));
    }
    bool is_empty = false;
    const std::size_t count = pipeline.encode(golden.text, Surrogates::replace, scratch, ids.data(), is_empty);
    if (!std::equal(ids.begin(), ids.begin() + static_cast<std::ptrdiff_t>(count), golden.ids.begin(),
                    golden.ids.end())) {
      refuse(number, answers, "the token ids of " + shortened(cleaned, quoted_of_a_text) + " differ");
    }
  }
}

double check_golden_logits(const std::vector<GoldenCase>& cases, const std::vector<double>& logits,
                           const GoldenAnswers& answers, const char* how) {
  double largest = 0.0;
  const double* row = logits.data();
  for (std::size_t number = 0; number < cases.size(); ++number) {
    const std::vector<double>& recorded = cases[number].logits;
    const double difference = largest_difference(row, recorded);
    if (!(difference <= answers.tolerance)) {
      refuse(number, answers,
             std::string(how) + " its logits differ by " + std::to_string(difference) + "; at most " +
                 std::to_string(answers.tolerance) + " is allowed");
    }
    if (best(row, recorded.size()) != best(recorded.data(), recorded.size()) && !(margin(recorded) <= close_margin)) {
      refuse(number, answers, std::string(how) + " it gets another label");
    }
    largest = std::max(largest, difference);
    row += recorded.size();
  }
  return largest;
}

}  // namespace kuaixun
