// The student folded: what export/student/folded.py describes. The convolution of width k over a fixed embedding is a
// sum of k table rows, T[place] = E @ W[:, :, place].T. Filters are cut into slices of a cache line, each a table of
// its own of the rows of all tokens, place by place: it stays in a core's own cache while many texts are summed in it.
//
// fp32   the tables as they are; answers as the reference does, to the last digit that is printed
// bf16   half the memory
// int8   a quarter of it; one scale for each filter, shared by all places of its window, so that sums, maxima and the
//        last layer are those of integers, and only class scores are scaled. The bundle brings the scales, chosen on
//        dev texts: export/student/int8_rows.py says how, and does the same arithmetic. Sums over up to four places
//        stay in 8 bits, which takes half the instructions: they saturate, as rows do, at the rare ends that the
//        choice of the scale gave up. Wider windows are summed in 16 bits.
//
// The n-grams' class scores are int8 in the bundle already, and summed as integers in any precision: exactly.
#pragma once

#include <cstdint>
#include <vector>

#include "huge_buffer.h"
#include "manifest.h"
#include "precision.h"
#include "student_kernel.h"
#include "student_weights.h"

namespace kuaixun {

// Whether int8 rows of this width are summed in 8 bits as well.
constexpr bool sums_in_int8(std::size_t width) { return width <= 4; }

struct StudentTables {
  struct WidthTable {
    std::size_t width;
    std::size_t offset;          // of its first slice within a vocabulary of one, in elements
    std::size_t feature_offset;  // of its filters among the features
  };

  Precision precision;
  std::vector<WidthTable> widths;
  std::size_t filters = 0;         // of one width, padded
  std::size_t slice_filters = 0;   // of one width in a slice
  std::size_t slices = 0;          // filters / slice_filters
  std::size_t row_elements = 0;    // of one token, in all slices of all widths
  std::size_t element_bytes = 0;
  std::size_t features = 0;         // widths * filters, padded
  std::size_t classes = 0;          // as they are
  std::size_t padded_classes = 0;   // as the kernel wants them
  HugeBuffer rows;  // for each width: (slices, vocabulary, width, slice_filters) of int8, bfloat16 or float
  std::vector<float> bias;          // (features,)
  std::vector<double> linear;       // (padded_classes, features)
  std::vector<double> linear_bias;  // (classes,)

  // In place of `bias` and `linear`, of bf16:
  std::vector<float> single_linear;  // (padded_classes, features)
  // and of int8, where a feature is an integer of `feature_steps` to a step of its filter's rows:
  std::vector<std::int16_t> integer_bias;    // (features,)
  std::vector<std::int16_t> integer_linear;  // (classes, features)
  std::vector<double> linear_scale;          // (classes,)

  std::size_t ngram_stride = 0;            // elements of a bucket's row; 0 where there are no n-grams
  HugeBuffer ngrams;                       // (buckets, ngram_stride) of int8, in any precision
  std::vector<double> ngram_scale;         // (classes,)
  std::vector<std::int16_t> ngram_owners;  // (buckets,)
};

// Raises Error (engine) where the tables would be larger than the limit of architecture.h, or memory is short.
StudentTables fold_student(const StudentWeights& weights, const Architecture& architecture, Precision precision,
                           const StudentKernel& kernel);

}  // namespace kuaixun
