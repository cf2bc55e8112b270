#include "classifier.h"

#include <algorithm>
#include <cmath>

#include "error.h"
#include "golden.h"
#include "in_threads.h"
#include "vocabulary.h"

namespace kuaixun {
namespace {

constexpr double millionth = 1e6;

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
      golden_difference_(check_golden(bundle.golden, pipeline_, student_, bundle.folder)) {
  golden_difference_ = std::max(golden_difference_, check_as_batch(bundle));
}

double Classifier::check_as_batch(const Bundle& bundle) const {
  std::vector<std::string_view> texts;
  for (const GoldenCase& golden : bundle.golden) texts.push_back(golden.text);
  std::vector<double> logits(texts.size() * student_.classes());
  constexpr unsigned every_core = 0;
  classify(texts.data(), texts.size(), Surrogates::replace, every_core, {nullptr, nullptr, nullptr, logits.data()});
  return check_golden_batch(bundle.golden, logits, student_.precision(), bundle.folder);
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
    for (double& value : values) value = std::nearbyint(value * millionth) / millionth;
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
  const auto vocabulary_size = static_cast<std::int32_t>(manifest_.architecture.vocabulary_size);
  for (std::size_t i = 0; i < count * width; ++i) {
    if (ids[i] < 0 || ids[i] >= vocabulary_size) {
      throw Error(ErrorCode::usage, "the token id " + std::to_string(ids[i]) + " lies outside the vocabulary");
    }
  }
  in_threads(count, threads, [&](std::size_t begin, std::size_t end) {
    static thread_local Student::Scratch scratch;
    for (std::size_t row = begin; row < end; ++row) {
      const std::int32_t* first = ids + row * width;
      const auto tokens = static_cast<std::size_t>(std::find(first, first + width, pad_id) - first);
      student_.logits(first, tokens, scratch, out + row * student_.classes());
    }
  });
}

}  // namespace kuaixun
