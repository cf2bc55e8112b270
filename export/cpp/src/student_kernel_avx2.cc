// Compiled for AVX2 by its own options; never called where the processor has none.
#define KUAIXUN_KERNEL student_kernel_avx2
#define KUAIXUN_INSTRUCTION_SET "avx2"
#define KUAIXUN_VECTOR_BYTES 32
#include "student_kernel_loops.h"
