#include "arithmetic.h"

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <iterator>
#include <limits>
#include <string>

#include "error.h"

namespace kuaixun {
namespace {

// Halves, what lies close beside them, and what is cut off: enough for the vectors and the remainder of any kernel.
constexpr float numbers[] = {0.5F,  1.5F,  2.5F, -0.5F, -1.5F, -2.5F, 0.49F,  0.51F,  -0.49F, -0.51F, 3.0F,
                             126.4F, 126.5F, 127.5F, 300.0F, -126.5F, -127.5F, -300.0F, 0.0F,   64.5F,  65.5F};
constexpr std::int8_t rounded[] = {0,   2,   2,   0,   -2,   -2,   0,    1, 0,  -1, 3,
                                   126, 126, 127, 127, -126, -127, -127, 0, 64, 66};
constexpr std::size_t count = std::size(numbers);
static_assert(count == std::size(rounded), "each number has what it is rounded to");

bool kernel_rounds(const StudentKernel& kernel) {
  constexpr std::size_t repeats = 5;
  float rows[repeats * count];
  float ones[repeats * count];
  std::int8_t found[repeats * count];
  for (std::size_t i = 0; i < repeats * count; ++i) {
    rows[i] = numbers[i % count];
    ones[i] = 1.0F;
  }
  kernel.round_int8(rows, ones, repeats * count, found);
  for (std::size_t i = 0; i < repeats * count; ++i) {
    if (found[i] != rounded[i % count]) return false;
  }
  return true;
}

// Of the files that are compiled like this one, without flags of their own; volatile, or the compiler would do it.
bool sums_round() {
  volatile double half = 2.5;
  const double shift = 0x1.8p52;
  return half + shift - shift == 2.0;
}

bool nan_is_seen() {
  volatile double none = std::numeric_limits<double>::quiet_NaN();
  return std::isnan(none);
}

}  // namespace

void check_arithmetic(const StudentKernel& kernel) {
  if (kernel_rounds(kernel) && sums_round() && nan_is_seen()) return;
  throw Error(ErrorCode::engine,
              std::string("the arithmetic of this build (") + kernel.instruction_set +
                  ") does not round to nearest, halves to even, or does not see NaN; build it without -ffast-math and "
                  "its parts, and leave the processor's rounding mode as it is");
}

}  // namespace kuaixun
