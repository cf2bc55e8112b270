// Texts in, predictions out: a bundle's text pipeline, the folded student and the calibration, put together.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "bundle.h"
#include "student.h"

namespace kuaixun {

constexpr std::int32_t no_label = -1;

// A row for each text, each output where it is not nullptr; as kuaixun_classify in kuaixun.h.
struct PredictionRows {
  std::int32_t* label_ids = nullptr;
  double* confidences = nullptr;
  double* scores = nullptr;
  double* logits = nullptr;
};

class Classifier {
 public:
  // Opens the bundle and checks its golden cases, one by one and as a batch, in this precision or else in the
  // manifest's default. Raises Error.
  Classifier(const std::string& folder, std::optional<Precision> precision);

  const Manifest& manifest() const { return manifest_; }
  const TextPipeline& pipeline() const { return pipeline_; }
  const Student& student() const { return student_; }
  // The largest difference of a logit over the golden cases.
  double golden_difference() const { return golden_difference_; }

  // Threads: 0 for one a core; never more than a batch is worth.
  void classify(const std::string_view* texts, std::size_t count, Surrogates surrogates, unsigned threads,
                const PredictionRows& rows) const;

  // Logits of ids (count, width), each row padded with PAD. Raises Error (usage) for an id beyond the vocabulary, when
  // some rows may be answered already, and for a width beyond max_tokens, within which alone the sums are sure to hold.
  void logits(const std::int32_t* ids, std::size_t count, std::size_t width, unsigned threads, double* out) const;

 private:
  struct Scratch;

  explicit Classifier(Bundle bundle, std::optional<Precision> precision);
  // Answers the golden cases one by one, and in one batch by the way that serves. Returns the largest difference of a
  // logit, raises GoldenError.
  double check_golden(const std::vector<GoldenCase>& cases, const std::string& folder) const;
  // A row of ids, each of which is looked at once: whoever writes to them meanwhile changes nothing that was checked.
  // Raises Error (usage) for one beyond the vocabulary.
  void copy_checked(const std::int32_t* ids, std::int32_t* copy, std::size_t width) const;
  void classify_range(const std::string_view* texts, std::size_t begin, std::size_t end, Surrogates surrogates,
                      const PredictionRows& rows) const;
  void encode(const std::string_view* texts, std::size_t count, Surrogates surrogates, Scratch& scratch) const;
  // From a text's logits, which do not outlive it, to the `row`th of what is asked for.
  void answer(double* values, bool is_empty, std::size_t row, const PredictionRows& rows) const;

  Manifest manifest_;
  TextPipeline pipeline_;
  Student student_;
  double golden_difference_;
};

}  // namespace kuaixun
