# Every x86-64 processor runs what is built here: kernels for wider registers are chosen at run time. A -march in CXXFLAGS
# would gain nothing, and have all of it, the choice included, end with SIGILL on an older machine. It is overruled, for
# environments set one for whatever they build. Flags for single instruction sets, which nothing overrules together, are
# refused; so is -ffast-math, with which NaN passes the checks of a bundle's numbers.

if(CMAKE_SYSTEM_PROCESSOR MATCHES "^(x86_64|AMD64|amd64)$")
  set(base_instruction_set -march=x86-64)
  add_compile_options(${base_instruction_set})
endif()

if(CMAKE_CXX_FLAGS)
  include(CheckCXXSourceCompiles)
  string(MAKE_C_IDENTIFIER "KUAIXUN_BASE ${CMAKE_CXX_FLAGS}" flags_are_base)
  set(CMAKE_REQUIRED_FLAGS ${base_instruction_set})
  set(CMAKE_REQUIRED_QUIET ON)
  check_cxx_source_compiles("
    #if defined(__SSE3__) || defined(__POPCNT__) || defined(__LZCNT__) || defined(__MOVBE__) || defined(__AVX__)
    #error
    #elif defined(__BMI__) || defined(__BMI2__) || defined(__FAST_MATH__)
    #error
    #endif
    int main() {}" ${flags_are_base})
  unset(CMAKE_REQUIRED_FLAGS)
  unset(CMAKE_REQUIRED_QUIET)
  if(NOT ${flags_are_base})
    message(FATAL_ERROR "CXXFLAGS, '${CMAKE_CXX_FLAGS}', name instructions that not every x86-64 processor has, or "
      "-ffast-math. Leave them out: what is fast on a processor is chosen when the program runs.")
  endif()
endif()
