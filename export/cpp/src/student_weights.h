// The student's numbers as the bundle carries them, every shape checked against the architecture: what
// export/student/weights.py defines.
#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

#include "manifest.h"

namespace kuaixun {

// A bias is at most this many steps of its filter's rows, so that 8 * (16 places * 127 + 2047) is under 2^15.
constexpr double bias_limit_steps = 2047.0;

struct StudentWeights {
  std::vector<float> embedding;                  // (vocabulary, size), row 0 (PAD) zero; exact products of int8 steps
  std::vector<std::vector<float>> convolutions;  // for each width (filters, size, width)
  std::vector<std::vector<float>> biases;        // for each width (filters,)
  std::vector<std::vector<float>> scales;        // for each width (filters,): what a step of its int8 rows is worth
  std::vector<float> linear;                     // (classes, widths * filters)
  std::vector<float> linear_bias;                // (classes,)
  std::vector<std::int8_t> ngram_steps;          // (buckets, classes), or empty
  std::vector<float> ngram_scales;               // (classes,), or empty: what a step is worth
  std::vector<std::int16_t> ngram_owners;        // (buckets,), or empty
};

// Raises FormatError for a file, a shape or a number that does not fit.
StudentWeights parse_student_weights(std::string_view content, const Architecture& architecture, std::size_t classes);

}  // namespace kuaixun
