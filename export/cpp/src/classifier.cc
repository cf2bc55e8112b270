#include "classifier.h"

#include <algorithm>
#include <cmath>

#include "error.h"
#include "golden.h"
#include "in_threads.h"
#include "vocabulary.h"

namespace kuaixun {
namespace {

constexpr double steps_to_one = 1e6;  // six decimals

// What computing in a precision may do to a logit, which reach about ten: rounding moves one by far less than half,
// wrong tables by far more. LOGIT_TOLERANCES of export/engine/interface.py.
double tolerance_of(Precision precision) {
  switch (precision) {
    case Precision::fp32:
      return 1e-3;
    case Precision::bf16:
      return 0.1;
    default:
      return 0.5;
  }
}

// Row-wise, in place.
void softmax(std::vector<double>& values, double temperature) {
  const double largest = *std::max_element(values.begin(), values.end()) / temperature;
  double sum = 0.0;
  for (double& value : values) {
    value = std::exp(value / temperature - largest);
    sum += value;
  }
  for (double& value : values) value /= sum;
}

}  // namespace

struct Classifier::EncodedText {
  std::vector<std::int32_t> ids;
  std::size_t count = 0;
  bool is_empty = true;
};

struct Classifier::Scratch {
  EncodingScratch encoding;
  Student::Scratch student;
  EncodedText encoded;
  std::vector<double> probabilities;
};

Classifier::Classifier(const std::string& folder, std::optional<Precision> precision)
    : Classifier(read_bundle(folder), precision) {}

Classifier::Classifier(Bundle bundle, std::optional<Precision> precision)
    : manifest_(std::move(bundle.manifest)),
      pipeline_(std::move(bundle.pipeline)),
      student_(bundle.weights, manifest_.architecture, precision.value_or(manifest_.default_precision)),
      golden_difference_(check_golden(bundle.golden, bundle.folder)) {}

double Classifier::check_golden(const std::vector<GoldenCase>& cases, const std::string& folder) const {
  const Precision precision = student_.precision();
  const GoldenAnswers answers{std::string("native (") + precision_name(precision) + ")", folder,
                              tolerance_of(precision)};
  check_golden_texts(cases, pipeline_, answers);
  std::vector<double> logits(cases.size() * student_.classes());
  Student::Scratch scratch;
  for (std::size_t row = 0; row < cases.size(); ++row) {
    const std::vector<std::int32_t>& ids = cases[row].ids;
    student_.logits(ids.data(), ids.size(), scratch, logits.data() + row * student_.classes());
  }
  const double alone = check_golden_logits(cases, logits, answers, "alone");

  std::vector<std::string_view> texts;
  for (const GoldenCase& golden : cases) texts.push_back(golden.text);
  constexpr unsigned every_core = 0;
  classify(texts.data(), texts.size(), Surrogates::replace, every_core, {nullptr, nullptr, nullptr, logits.data()});
  return std::max(alone, check_golden_logits(cases, logits, answers, "in a batch"));
}

void Classifier::classify(const std::string_view* texts, std::size_t count, Surrogates surrogates, unsigned threads,
                          const PredictionRows& rows) const {
  in_threads(count, threads,
             [&](std::size_t begin, std::size_t end) { classify_range(texts, begin, end, surrogates, rows); });
}

void Classifier::classify_range(const std::string_view* texts, std::size_t begin, std::size_t end,
                                Surrogates surrogates, const PredictionRows& rows) const {
  static thread_local Scratch scratch;
  EncodedText& encoded = scratch.encoded;
  encoded.ids.resize(manifest_.text.max_tokens);
  for (std::size_t row = begin; row < end; ++row) {
    encoded.count = pipeline_.encode(texts[row], surrogates, scratch.encoding, encoded.ids.data(), encoded.is_empty);
    answer(encoded, row, scratch, rows);
  }
}

void Classifier::answer(const EncodedText& encoded, std::size_t row, Scratch& scratch,
                        const PredictionRows& rows) const {
  const std::size_t classes = student_.classes();
  std::vector<double>& values = scratch.probabilities;
  values.resize(classes);
  student_.logits(encoded.ids.data(), encoded.count, scratch.student, values.data());
  if (rows.logits != nullptr) std::copy(values.begin(), values.end(), rows.logits + row * classes);

  std::int32_t label_id = no_label;
  double confidence = 0.0;
  if (encoded.is_empty) {
    std::fill(values.begin(), values.end(), 0.0);
  } else {
    softmax(values, manifest_.temperature);
    label_id = static_cast<std::int32_t>(std::max_element(values.begin(), values.end()) - values.begin());
    for (double& value : values) value = std::nearbyint(value * steps_to_one) / steps_to_one;
    confidence = values[static_cast<std::size_t>(label_id)];
  }
  if (rows.label_ids != nullptr) rows.label_ids[row] = label_id;
  if (rows.confidences != nullptr) rows.confidences[row] = confidence;
  if (rows.scores != nullptr) std::copy(values.begin(), values.end(), rows.scores + row * classes);
}

void Classifier::logits(const std::int32_t* ids, std::size_t count, std::size_t width, unsigned threads,
                        double* out) const {
  if (width > manifest_.text.max_tokens) {
    throw Error(ErrorCode::usage, "rows of " + std::to_string(width) + " token ids are wider than the bundle's " +
                                      "max_tokens, " + std::to_string(manifest_.text.max_tokens) + "; cut them");
  }
  in_threads(count, threads, [&](std::size_t begin, std::size_t end) {
    static thread_local Student::Scratch scratch;
    std::vector<std::int32_t> row_ids(width);
    for (std::size_t row = begin; row < end; ++row) {
      copy_checked(ids + row * width, row_ids);
      const auto tokens = std::find(row_ids.begin(), row_ids.end(), pad_id) - row_ids.begin();
      student_.logits(row_ids.data(), static_cast<std::size_t>(tokens), scratch, out + row * student_.classes());
    }
  });
}

void Classifier::copy_checked(const std::int32_t* ids, std::vector<std::int32_t>& copy) const {
  const auto vocabulary_size = static_cast<std::int32_t>(manifest_.architecture.vocabulary_size);
  for (std::size_t i = 0; i < copy.size(); ++i) {
    const std::int32_t id = __atomic_load_n(ids + i, __ATOMIC_RELAXED);
    if (id < 0 || id >= vocabulary_size) {
      throw Error(ErrorCode::usage, "the token id " + std::to_string(id) + " lies outside the vocabulary");
    }
    copy[i] = id;
  }
}

}  // namespace kuaixun
