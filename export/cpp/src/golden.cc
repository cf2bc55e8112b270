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

// Logits reach about ten. Rounding moves one by far less than half, wrong tables by far more; and it may turn the label
// only where the reference's first two stand close.
constexpr double fp32_tolerance = 1e-3;
constexpr double bf16_tolerance = 0.1;
constexpr double int8_tolerance = 0.5;
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

// Where a case is refused: which one, of which bundle, on what.
struct Place {
  std::size_t number;
  const std::string& folder;
  Precision precision;
  const char* how;

  [[noreturn]] void refuse(const std::string& reason) const {
    throw GoldenError("golden case " + std::to_string(number + 1) + " of " + folder + " on the native engine (" +
                      precision_name(precision) + how + "): " + reason);
  }
};

double tolerance_of(Precision precision) {
  switch (precision) {
    case Precision::fp32:
      return fp32_tolerance;
    case Precision::bf16:
      return bf16_tolerance;
    default:
      return int8_tolerance;
  }
}

// How far the logits lie from the recorded ones.
double checked_difference(const GoldenCase& golden, const double* logits, const Place& place) {
  const double tolerance = tolerance_of(place.precision);
  const double difference = largest_difference(logits, golden.logits);
  if (!(difference <= tolerance)) {
    place.refuse("logits differ by " + std::to_string(difference) + "; at most " + std::to_string(tolerance) +
                 " is allowed");
  }
  const std::size_t classes = golden.logits.size();
  if (best(logits, classes) != best(golden.logits.data(), classes) && !(margin(golden.logits) <= close_margin)) {
    place.refuse("the label differs");
  }
  return difference;
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

double check_golden(const std::vector<GoldenCase>& cases, const TextPipeline& pipeline, const Student& student,
                    const std::string& folder) {
  EncodingScratch encoding;
  Student::Scratch scratch;
  Points cleaned;
  std::vector<std::int32_t> ids(pipeline.parameters().max_tokens);
  std::vector<double> logits(student.classes());
  double largest = 0.0;
  for (std::size_t number = 0; number < cases.size(); ++number) {
    const GoldenCase& golden = cases[number];
    const Place place{number, folder, student.precision(), ""};
    pipeline.clean(golden.text, Surrogates::replace, encoding, cleaned);
    std::string cleaned_text;
    for (const char32_t point : cleaned) append_utf8(point, cleaned_text);
    if (cleaned_text != golden.cleaned) {
      place.refuse("the text cleans to " + shortened(cleaned_text, quoted_of_a_text) + ", not to " +
                   shortened(golden.cleaned, quoted_of_a_text));
    }
    bool is_empty = false;
    const std::size_t count = pipeline.encode(golden.text, Surrogates::replace, encoding, ids.data(), is_empty);
    if (!std::equal(ids.begin(), ids.begin() + static_cast<std::ptrdiff_t>(count), golden.ids.begin(),
                    golden.ids.end())) {
      place.refuse("the token ids of " + shortened(cleaned_text, quoted_of_a_text) + " differ");
    }
    student.logits(ids.data(), count, scratch, logits.data());
    largest = std::max(largest, checked_difference(golden, logits.data(), place));
  }
  return largest;
}

double check_golden_batch(const std::vector<GoldenCase>& cases, const std::vector<double>& logits, Precision precision,
                          const std::string& folder) {
  double largest = 0.0;
  const double* row = logits.data();
  for (std::size_t number = 0; number < cases.size(); ++number) {
    largest = std::max(largest, checked_difference(cases[number], row, {number, folder, precision, ", as a batch"}));
    row += cases[number].logits.size();
  }
  return largest;
}

}  // namespace kuaixun
