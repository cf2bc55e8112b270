// Whether this build and processor compute as the student's definition has it.
#pragma once

#include "student_kernel.h"

namespace kuaixun {

// Raises Error (engine) where numbers round otherwise than to nearest, halves to even, or NaN goes unseen: as in a
// build with -ffast-math or a part of it, which may take away what rounds and what looks for NaN.
void check_arithmetic(const StudentKernel& kernel);

}  // namespace kuaixun
