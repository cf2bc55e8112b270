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

// In place.
void softmax(double* values, std::size_t count, double temperature) {
  const double largest = *std::max_element(values, values + count) / temperature;
  double sum = 0.0;
  for (std::size_t i = 0; i < count; ++i) {
    values[i] = std::exp(values[i] / temperature - largest);
    sum += values[i];
  }
  for (std::size_t i = 0; i < count; ++i) values[i] /= sum;
}

}  // namespace

struct Classifier::Scratch {
  EncodingScratch encoding;
  Student::Scratch student;
  std::vector<std::int32_t> ids;  // of all texts, max_tokens each
  std::vector<TokenIds> texts;
  std::vector<char> empty;
  std::vector<double> logits;
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
    const TokenIds text{cases[row].ids.data(), cases[row].ids.size()};
    student_.logits(&text, 1, scratch, logits.data() + row * student_.classes());
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
  const std::size_t classes = student_.classes();
  for (std::size_t first = begin; first < end; first += student_.texts_together()) {
    const std::size_t count = std::min(student_.texts_together(), end - first);
    encode(texts + first, count, surrogates, scratch);
    scratch.logits.resize(std::max(scratch.logits.size(), count * classes));
    student_.logits(scratch.texts.data(), count, scratch.student, scratch.logits.data());
    for (std::size_t row = 0; row < count; ++row) {
      answer(scratch.logits.data() + row * classes, scratch.empty[row] != 0, first + row, rows);
    }
  }
}

void Classifier::encode(const std::string_view* texts, std::size_t count, Surrogates surrogates,
                        Scratch& scratch) const {
  const std::size_t width = manifest_.text.max_tokens;
  scratch.ids.resize(std::max(scratch.ids.size(), count * width));
  scratch.texts.resize(count);
  scratch.empty.resize(count);
  for (std::size_t row = 0; row < count; ++row) {
    std::int32_t* const ids = scratch.ids.data() + row * width;
    bool is_empty = true;
    scratch.texts[row] = {ids, pipeline_.encode(texts[row], surrogates, scratch.encoding, ids, is_empty)};
    scratch.empty[row] = is_empty ? 1 : 0;
  }
}

void Classifier::answer(double* values, bool is_empty, std::size_t row, const PredictionRows& rows) const {
  const std::size_t classes = student_.classes();
  if (rows.logits != nullptr) std::copy_n(values, classes, rows.logits + row * classes);

  std::int32_t label_id = no_label;
  double confidence = 0.0;
  if (is_empty) {
    std::fill_n(values, classes, 0.0);
  } else {
    softmax(values, classes, manifest_.temperature);
    label_id = static_cast<std::int32_t>(std::max_element(values, values + classes) - values);
    for (std::size_t c = 0; c < classes; ++c) values[c] = std::nearbyint(values[c] * steps_to_one) / steps_to_one;
    confidence = values[label_id];
  }
  if (rows.label_ids != nullptr) rows.label_ids[row] = label_id;
  if (rows.confidences != nullptr) rows.confidences[row] = confidence;
  if (rows.scores != nullptr) std::copy_n(values, classes, rows.scores + row * classes);
}

void Classifier::logits(const std::int32_t* ids, std::size_t count, std::size_t width, unsigned threads,
                        double* out) const {
  if (width > manifest_.text.max_tokens) {
    throw Error(ErrorCode::usage, "rows of " + std::to_string(width) + " token ids are wider than the bundle's " +
                                      "max_tokens, " + std::to_string(manifest_.text.max_tokens) + "; cut them");
  }
  in_threads(count, threads, [&](std::size_t begin, std::size_t end) {
    static thread_local Scratch scratch;
    for (std::size_t first = begin; first < end; first += student_.texts_together()) {
      const std::size_t together = std::min(student_.texts_together(), end - first);
      scratch.ids.resize(std::max(scratch.ids.size(), together * width));
      scratch.texts.resize(together);
      for (std::size_t row = 0; row < together; ++row) {
        std::int32_t* const copy = scratch.ids.data() + row * width;
        copy_checked(ids + (first + row) * width, copy, width);
        scratch.texts[row] = {copy, static_cast<std::size_t>(std::find(copy, copy + width, pad_id) - copy)};
      }
      student_.logits(scratch.texts.data(), together, scratch.student, out + first * student_.classes());
    }
  });
}

void Classifier::copy_checked(const std::int32_t* ids, std::int32_t* copy, std::size_t width) const {
  const auto vocabulary_size = static_cast<std::int32_t>(manifest_.architecture.vocabulary_size);
  for (std::size_t i = 0; i < width; ++i) {
    const std::int32_t id = __atomic_load_n(ids + i, __ATOMIC_RELAXED);
    if (id < 0 || id >= vocabulary_size) {
      throw Error(ErrorCode::usage, "the token id " + std::to_string(id) + " lies outside the vocabulary");
    }
    copy[i] = id;
  }
}

}  // namespace kuaixun
