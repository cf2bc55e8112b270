#include "student_kernel.h"

namespace kuaixun {

size_t student_kernels(const StudentKernel** kernels, size_t limit) {
  size_t count = 0;
  const auto add = [&](const StudentKernel& kernel) {
    if (count < limit) kernels[count++] = &kernel;
  };
  add(student_kernel_portable);
#if defined(KUAIXUN_X86_KERNELS)
  // These ask the operating system too, whether it saves the wide registers.
  if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) add(student_kernel_avx2);
  if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512dq") &&
      __builtin_cpu_supports("avx512vl")) {
    add(student_kernel_avx512);
  }
#endif
  return count;
}

const StudentKernel& student_kernel() {
  static const StudentKernel& best = []() -> const StudentKernel& {
    const StudentKernel* kernels[8];
    return *kernels[student_kernels(kernels, 8) - 1];
  }();
  return best;
}

}  // namespace kuaixun
