# Every x86-64 processor runs what is built here: kernels for wider registers are chosen at run time. A -march in CXXFLAGS
# would gain nothing, and have all of it, the choice included, end with SIGILL on an older machine. It is overruled, for
# environments set one for whatever they build. Flags for single instruction sets, which nothing overrules together, are
# refused by what the compiler then defines, wherever they stand: CXXFLAGS, a configuration's own flags, the compiler's
# name.
#
# So is -ffast-math and what it is made of: without infinities and NaN the checks of a bundle's numbers pass anything, and
# sums in another order do not round. Clang says nothing of -funsafe-math-optimizations alone, so they are overruled too.
# What gets past both src/arithmetic.cc finds when a bundle is opened.

if(CMAKE_SYSTEM_PROCESSOR MATCHES "^(x86_64|AMD64|amd64)$")
  set(base_instruction_set -march=x86-64)
  add_compile_options(${base_instruction_set})
endif()
# No more than these: the option that overrules another part would allow one that was not asked for.
add_compile_options(-fno-fast-math -fno-finite-math-only -fno-unsafe-math-optimizations)

include(CheckCXXSourceCompiles)
if(CMAKE_CONFIGURATION_TYPES)
  set(configurations ${CMAKE_CONFIGURATION_TYPES})
else()
  set(configurations ${CMAKE_BUILD_TYPE})
endif()
foreach(configuration IN LISTS configurations)
  string(TOUPPER "CMAKE_CXX_FLAGS_${configuration}" flags_of_configuration)
  string(STRIP "${CMAKE_CXX_FLAGS} ${${flags_of_configuration}}" flags)
  string(MAKE_C_IDENTIFIER "KUAIXUN_BASE ${CMAKE_CXX_COMPILER_ARG1} ${flags}" flags_are_base)
  set(CMAKE_REQUIRED_FLAGS "${flags} ${base_instruction_set}")
  set(CMAKE_REQUIRED_QUIET ON)
  check_cxx_source_compiles("
    #if defined(__SSE3__) || defined(__POPCNT__) || defined(__LZCNT__) || defined(__MOVBE__) || defined(__AVX__)
    #error
    #elif defined(__BMI__) || defined(__BMI2__) || defined(__FMA__) || defined(__F16C__)
    #error
    #elif defined(__FAST_MATH__) || defined(__ASSOCIATIVE_MATH__) || defined(__RECIPROCAL_MATH__)
    #error
    #elif defined(__FINITE_MATH_ONLY__) && __FINITE_MATH_ONLY__
    #error
    #endif
    int main() {}" ${flags_are_base})
  unset(CMAKE_REQUIRED_FLAGS)
  unset(CMAKE_REQUIRED_QUIET)
  if(NOT ${flags_are_base})
    message(FATAL_ERROR "CXXFLAGS, '${flags}', name instructions that not every x86-64 processor has, or -ffast-math or "
      "a part of it (or ${CMAKE_CXX_COMPILER} compiles nothing with them). Leave them out: what is fast on a processor is "
      "chosen when the program runs.")
  endif()
endforeach()
