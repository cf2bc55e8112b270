// Compiled for AVX-512 (F, BW, DQ, VL) by its own options; never called where the processor has none.
#define KUAIXUN_KERNEL student_kernel_avx512
#define KUAIXUN_INSTRUCTION_SET "avx512"
#define KUAIXUN_VECTOR_BYTES 64
#include "student_kernel_loops.h"
