// Token ids to logits: the folded student at work.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <vector>

#include "manifest.h"
#include "student_kernel.h"
#include "student_tables.h"

namespace kuaixun {

class Student {
 public:
  // What one thread needs; reused from call to call. Maxima are of as many texts as are summed together.
  struct Scratch {
    std::vector<std::int8_t> narrow_maxima;
    std::vector<std::int16_t> integer_maxima;
    std::vector<std::int16_t> integer_features;
    std::vector<std::int64_t> integer_class_sums;
    std::vector<float> maxima;
    std::vector<float> features;
    std::vector<float> class_sums;
    std::vector<double> class_sums_double;
    std::vector<std::uint32_t> buckets;
    std::vector<std::uint32_t> next_buckets;
    std::vector<std::int32_t> ngram_steps;
  };

  // Raises Error (engine) where the kernel or this build does not compute as it must, or memory does not suffice.
  Student(const StudentWeights& weights, const Architecture& architecture, Precision precision,
          const StudentKernel& kernel = student_kernel());

  std::size_t classes() const { return tables_.classes; }
  Precision precision() const { return tables_.precision; }
  const char* instruction_set() const { return kernel_.instruction_set; }
  // A slice's table comes into the cache once for so many texts, whose maxima go to memory and back in return.
  std::size_t texts_together() const { return texts_together_; }

  // Writes logits (count, classes). A text without ids has the last layer's bias.
  void logits(const TokenIds* texts, std::size_t count, Scratch& scratch, double* out) const;

 private:
  void logits_together(const TokenIds* texts, std::size_t count, Scratch& scratch, double* out) const;
  // The largest sum of rows for each text and filter; `pool_slice` finds those of the widths that `wanted(width)`.
  void pool_all(const TokenIds* texts, std::size_t count, Scratch& scratch) const;
  template <typename Stored, typename Sum, typename Wanted>
  void pool(void (*pool_slice)(const Stored*, std::size_t, const TokenIds*, std::size_t, Sum*, std::size_t),
            Wanted wanted, const TokenIds* texts, std::size_t count, std::vector<Sum>& maxima) const;
  // Bias, ReLU, last layer of the text whose maxima are the `row`th.
  void add_last_layer(std::size_t row, Scratch& scratch, double* out) const;
  void add_int8(std::size_t row, Scratch& scratch, double* out) const;
  template <typename T>
  void add_float(void (*classify)(const float*, const T*, std::size_t, std::size_t, T*), const std::vector<T>& linear,
                 const float* maxima, Scratch& scratch, std::vector<T>& class_sums, double* out) const;
  void hash_ngrams(TokenIds text, std::vector<std::uint32_t>& hashes) const;
  // Hashes to the buckets of those n-grams that own theirs, in place.
  void find_owned_buckets(std::vector<std::uint32_t>& hashes) const;
  void add_ngrams(Scratch& scratch, double* out) const;

  Architecture architecture_;
  const StudentKernel& kernel_;
  StudentTables tables_;
  std::size_t texts_together_;
};

}  // namespace kuaixun
