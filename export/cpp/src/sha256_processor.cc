// SHA-256 by the instructions that x86 processors have for it (Intel SHA extensions; section 8.2 of Intel's
// optimisation notes and the instructions' own pages say what each does). The functions alone are compiled for them.
#include "sha256.h"
#include "sha256_constants.h"

#if defined(KUAIXUN_X86_KERNELS)
#include <cpuid.h>
#include <immintrin.h>

#define KUAIXUN_SHA __attribute__((target("sha,sse4.1")))
#endif

namespace kuaixun {

#if defined(KUAIXUN_X86_KERNELS)
namespace {

// The state as the instructions want it: words a, b, e, f and c, d, g, h, the first of them highest.
struct State {
  __m128i abef;
  __m128i cdgh;
};

KUAIXUN_SHA inline __m128i load(const void* from) { return _mm_loadu_si128(static_cast<const __m128i*>(from)); }

KUAIXUN_SHA inline void store(__m128i words, std::uint32_t* to) {
  _mm_storeu_si128(reinterpret_cast<__m128i*>(to), words);
}

KUAIXUN_SHA inline __m128i big_endian(const unsigned char* block) {
  return _mm_shuffle_epi8(load(block), _mm_set_epi64x(0x0c0d0e0f08090a0b, 0x0405060700010203));
}

KUAIXUN_SHA inline void four_rounds(State& state, __m128i words, const std::uint32_t* constants) {
  const __m128i sums = _mm_add_epi32(words, load(constants));
  state.cdgh = _mm_sha256rnds2_epu32(state.cdgh, state.abef, sums);
  state.abef = _mm_sha256rnds2_epu32(state.abef, state.cdgh, _mm_shuffle_epi32(sums, 0x0E));
}

// The four words of the schedule that follow the last sixteen.
KUAIXUN_SHA inline __m128i scheduled(__m128i first, __m128i second, __m128i third, __m128i fourth) {
  const __m128i early = _mm_add_epi32(_mm_sha256msg1_epu32(first, second), _mm_alignr_epi8(fourth, third, 4));
  return _mm_sha256msg2_epu32(early, fourth);
}

KUAIXUN_SHA void mix_by_instructions(std::uint32_t* words, const unsigned char* blocks, std::size_t count) {
  const __m128i cdab = _mm_shuffle_epi32(load(words), 0xB1);
  const __m128i efgh = _mm_shuffle_epi32(load(words + 4), 0x1B);
  State state = {_mm_alignr_epi8(cdab, efgh, 8), _mm_blend_epi16(efgh, cdab, 0xF0)};
  for (; count > 0; --count, blocks += 64) {
    const State before = state;
    __m128i w0 = big_endian(blocks), w1 = big_endian(blocks + 16);
    __m128i w2 = big_endian(blocks + 32), w3 = big_endian(blocks + 48);
    for (int quarter = 0; quarter < 4; ++quarter) {
      const std::uint32_t* constants = sha256_constants + 16 * quarter;
      four_rounds(state, w0, constants);
      four_rounds(state, w1, constants + 4);
      four_rounds(state, w2, constants + 8);
      four_rounds(state, w3, constants + 12);
      w0 = scheduled(w0, w1, w2, w3);
      w1 = scheduled(w1, w2, w3, w0);
      w2 = scheduled(w2, w3, w0, w1);
      w3 = scheduled(w3, w0, w1, w2);
    }
    state.abef = _mm_add_epi32(state.abef, before.abef);
    state.cdgh = _mm_add_epi32(state.cdgh, before.cdgh);
  }
  const __m128i feba = _mm_shuffle_epi32(state.abef, 0x1B);
  const __m128i dchg = _mm_shuffle_epi32(state.cdgh, 0xB1);
  store(_mm_blend_epi16(feba, dchg, 0xF0), words);
  store(_mm_alignr_epi8(dchg, feba, 8), words + 4);
}

}  // namespace

Sha256Mixer sha256_mixer_of_processor() {
  // Asked of the processor itself: __builtin_cpu_supports does not know "sha" in every compiler.
  unsigned eax = 0, ebx = 0, ecx = 0, edx = 0;
  constexpr unsigned ssse3_and_sse41 = bit_SSSE3 | bit_SSE4_1;
  if (__get_cpuid(1, &eax, &ebx, &ecx, &edx) == 0 || (ecx & ssse3_and_sse41) != ssse3_and_sse41) return nullptr;
  if (__get_cpuid_count(7, 0, &eax, &ebx, &ecx, &edx) == 0 || (ebx & bit_SHA) == 0) return nullptr;
  return mix_by_instructions;
}
#else
Sha256Mixer sha256_mixer_of_processor() { return nullptr; }
#endif

}  // namespace kuaixun
