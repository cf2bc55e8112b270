// The arithmetic of the folded student, compiled once for each instruction set and chosen when the process runs.
//
// All of it adds in an order fixed here, lane for lane, without fused multiply-adds but where they give the same bits:
// a text's result is the same to the last bit in any batch and on any instruction set. This header is seen by code
// compiled for processors that this one may not be, so it includes nothing with functions in it: an inline function
// compiled there could be linked here.
#pragma once

#include <stddef.h>
#include <stdint.h>

namespace kuaixun {

// Filters, and features, are padded with zeros to a multiple of this, so that no loop has a remainder.
constexpr size_t filter_padding = 64;
// Of one place of a token's row, what is summed at a time: a cache line.
constexpr size_t slice_bytes = 64;
constexpr size_t class_padding = 4;
constexpr size_t ngram_padding = 16;
// How many steps of an integer feature make one of an integer table row, so that biases are rounded more finely.
constexpr int feature_steps = 8;
constexpr size_t classify_chunk = 1024;
// Columns of a packed panel of weights in `fold`: of 200 rows, it stays in the first level of the cache.
constexpr size_t fold_columns = 16;
constexpr size_t fold_rows = 8;

// A text's token ids: none PAD, and all within the vocabulary.
struct TokenIds {
  const int32_t* ids;
  size_t count;
};

struct StudentKernel {
  const char* instruction_set;

  // A slice of the filters of one width, for all texts. table (vocabulary, width, slice): rows of as many numbers as
  // slice_bytes hold. The row of PAD, token 0, is zero: windows that hang over the end of their text meet it. Of text i
  // out + i * stride (slice): for each filter the largest sum, over the windows that begin at a token, of their tokens'
  // rows, place by place. A text without tokens is left out. The narrow one sums in 8 bits, with half the instructions;
  // its sums saturate, in that order.
  void (*pool_int8)(const int8_t* table, size_t width, const TokenIds* texts, size_t count, int16_t* out,
                    size_t stride);
  void (*pool_narrow_int8)(const int8_t* table, size_t width, const TokenIds* texts, size_t count, int8_t* out,
                           size_t stride);
  void (*pool_bfloat16)(const uint16_t* table, size_t width, const TokenIds* texts, size_t count, float* out,
                        size_t stride);
  void (*pool_float)(const float* table, size_t width, const TokenIds* texts, size_t count, float* out, size_t stride);

  // features[i] = max(0, maxima[i] + bias[i]), i < count; of integers, maxima[i] * feature_steps. The caller sees to it
  // that 16 bits suffice.
  void (*activate_int8)(const int8_t* maxima, const int16_t* bias, size_t count, int16_t* features);
  void (*activate_int16)(const int16_t* maxima, const int16_t* bias, size_t count, int16_t* features);
  void (*activate_float)(const float* maxima, const float* bias, size_t count, float* features);

  // out[c] = features · weights[c], c < classes (of floats, padded); weights (classes, count). Of integers, the caller
  // sees to it that 32 bits suffice for each classify_chunk of features.
  void (*classify_int16)(const int16_t* features, const int16_t* weights, size_t count, size_t classes, int64_t* out);
  void (*classify_float)(const float* features, const float* weights, size_t count, size_t classes, float* out);
  void (*classify_double)(const float* features, const double* weights, size_t count, size_t classes, double* out);

  // out (stride) += the sum of the rows named, table (buckets, stride)
  void (*sum_int8)(const int8_t* table, size_t stride, const uint32_t* buckets, size_t count, int32_t* out);

  // out (fold_rows, fold_columns) = left (fold_rows, depth) @ panel (depth, fold_columns), rounded to single precision
  void (*fold)(const double* left, const double* panel, size_t depth, float* out, size_t out_stride);
  // out[i] = rows[i] * steps_per_unit[i] to the nearest whole number, halves to even, cut off beyond 127; i < count
  void (*round_int8)(const float* rows, const float* steps_per_unit, size_t count, int8_t* out);
};

// The best that this processor runs.
const StudentKernel& student_kernel();

// All that this processor runs, the plain one first: for tests.
size_t student_kernels(const StudentKernel** kernels, size_t limit);

extern const StudentKernel student_kernel_portable;
extern const StudentKernel student_kernel_avx2;
extern const StudentKernel student_kernel_avx512;

}  // namespace kuaixun
