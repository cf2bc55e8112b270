#include "sha256.h"

#include <array>
#include <cstdint>
#include <cstring>

#include "sha256_constants.h"

namespace kuaixun {
namespace {

constexpr std::size_t block_bytes = 64;

std::uint32_t rotate(std::uint32_t word, int count) { return word >> count | word << (32 - count); }

void mix(std::uint32_t* state, const unsigned char* block) {
  std::uint32_t schedule[64];
  for (int i = 0; i < 16; ++i) {
    schedule[i] = std::uint32_t{block[4 * i]} << 24 | std::uint32_t{block[4 * i + 1]} << 16 |
                  std::uint32_t{block[4 * i + 2]} << 8 | block[4 * i + 3];
  }
  for (int i = 16; i < 64; ++i) {
    const std::uint32_t early = schedule[i - 15];
    const std::uint32_t late = schedule[i - 2];
    schedule[i] = schedule[i - 16] + (rotate(early, 7) ^ rotate(early, 18) ^ early >> 3) + schedule[i - 7] +
                  (rotate(late, 17) ^ rotate(late, 19) ^ late >> 10);
  }
  std::uint32_t a = state[0], b = state[1], c = state[2], d = state[3];
  std::uint32_t e = state[4], f = state[5], g = state[6], h = state[7];
  for (int i = 0; i < 64; ++i) {
    const std::uint32_t first =
        h + (rotate(e, 6) ^ rotate(e, 11) ^ rotate(e, 25)) + ((e & f) ^ (~e & g)) + sha256_constants[i] + schedule[i];
    const std::uint32_t second = (rotate(a, 2) ^ rotate(a, 13) ^ rotate(a, 22)) + ((a & b) ^ (a & c) ^ (b & c));
    h = g;
    g = f;
    f = e;
    e = d + first;
    d = c;
    c = b;
    b = a;
    a = first + second;
  }
  const std::uint32_t mixed[8] = {a, b, c, d, e, f, g, h};
  for (std::size_t i = 0; i < 8; ++i) state[i] += mixed[i];
}

}  // namespace

void sha256_mix_portable(std::uint32_t* state, const unsigned char* blocks, std::size_t count) {
  for (std::size_t block = 0; block < count; ++block) mix(state, blocks + block * block_bytes);
}

std::string sha256(std::string_view content) {
  static const Sha256Mixer own = sha256_mixer_of_processor();
  return sha256(content, own != nullptr ? own : sha256_mix_portable);
}

std::string sha256(std::string_view content, Sha256Mixer mix) {
  std::array<std::uint32_t, 8> state = {0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a,
                                        0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19};
  const auto bytes = reinterpret_cast<const unsigned char*>(content.data());
  const std::size_t left = content.size() % block_bytes;
  mix(state.data(), bytes, content.size() / block_bytes);
  // The rest, a one bit, zeros, and the length in bits: one block or two.
  unsigned char tail[2 * block_bytes] = {};
  if (left > 0) std::memcpy(tail, bytes + content.size() - left, left);
  tail[left] = 0x80;
  const std::size_t tail_bytes = left + 9 <= block_bytes ? block_bytes : 2 * block_bytes;
  const std::uint64_t bits = std::uint64_t{content.size()} * 8;
  for (std::size_t i = 0; i < 8; ++i) tail[tail_bytes - 1 - i] = static_cast<unsigned char>(bits >> (8 * i));
  mix(state.data(), tail, tail_bytes / block_bytes);

  static constexpr char digits[] = "0123456789abcdef";
  std::string hexadecimal;
  for (const std::uint32_t word : state) {
    for (int shift = 28; shift >= 0; shift -= 4) hexadecimal.push_back(digits[word >> shift & 15]);
  }
  return hexadecimal;
}

}  // namespace kuaixun
