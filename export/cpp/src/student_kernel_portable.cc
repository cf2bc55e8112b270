// For every processor: 16-byte vectors, which all 64-bit x86 and Arm processors have.
#define KUAIXUN_KERNEL student_kernel_portable
#define KUAIXUN_INSTRUCTION_SET "portable"
#define KUAIXUN_VECTOR_BYTES 16
#include "student_kernel_loops.h"
