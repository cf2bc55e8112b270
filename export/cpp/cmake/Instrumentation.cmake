# What a build that looks for faults adds to every target behind this line: sanitizers, and for the fuzzers the edges
# that an input passes. With Clang the fuzzers are libFuzzer's, with any other compiler those of standalone_driver.cc.

if(KUAIXUN_SANITIZE OR KUAIXUN_FUZZ)
  if(KUAIXUN_SANITIZE STREQUAL "thread")
    set(sanitizers -fsanitize=thread)
  else()
    # GCC leaves float-cast-overflow out of undefined.
    set(sanitizers -fsanitize=address,undefined,float-cast-overflow)
  endif()
  add_compile_options(-O1 -g1 -fno-omit-frame-pointer ${sanitizers} -fno-sanitize-recover=all)
  add_compile_definitions(_GLIBCXX_ASSERTIONS)
  add_link_options(${sanitizers})
endif()

if(KUAIXUN_FUZZ)
  include(CheckCXXSourceCompiles)
  set(CMAKE_REQUIRED_FLAGS -fsanitize=fuzzer)
  check_cxx_source_compiles("
    #include <cstddef>
    #include <cstdint>
    extern \"C\" int LLVMFuzzerTestOneInput(const std::uint8_t*, std::size_t) { return 0; }" KUAIXUN_LIBFUZZER)
  unset(CMAKE_REQUIRED_FLAGS)
endif()

# Has a target's code report its edges to whatever fuzzer it is linked with, and to nothing in any other program.
function(report_edges target)
  if(KUAIXUN_LIBFUZZER)
    target_compile_options(${target} PRIVATE -fsanitize=fuzzer-no-link)
  elseif(KUAIXUN_FUZZ)
    target_compile_options(${target} PRIVATE -fsanitize-coverage=trace-pc)
    if(NOT TARGET kuaixun_unreported_edges)
      add_library(kuaixun_unreported_edges STATIC fuzz/unreported_edges.cc)
    endif()
    target_link_libraries(${target} PRIVATE kuaixun_unreported_edges)
  endif()
endfunction()
