// SHA-256 (FIPS 180-4), by which a bundle's files are recognised. By the processor's own instructions where it has
// them: hashing the files would else be a fifth of the time that a bundle takes to open.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace kuaixun {

// Mixes `count` blocks of 64 bytes into a state of 8 words.
using Sha256Mixer = void (*)(std::uint32_t* state, const unsigned char* blocks, std::size_t count);

void sha256_mix_portable(std::uint32_t* state, const unsigned char* blocks, std::size_t count);
// Null where the processor has no instructions for it.
Sha256Mixer sha256_mixer_of_processor();

// Of what comes in pieces.
class Sha256 {
 public:
  Sha256();  // by the fastest mixer there is
  explicit Sha256(Sha256Mixer mix) : mix_(mix) {}

  void add(std::string_view piece);
  // 64 lower-case hexadecimal digits of all that was added; nothing is added after it.
  std::string hexadecimal();

 private:
  static constexpr std::size_t block_bytes = 64;
  Sha256Mixer mix_;
  std::array<std::uint32_t, 8> state_ = {0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a,
                                         0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19};
  std::array<unsigned char, block_bytes> pending_ = {};
  std::size_t pending_bytes_ = 0;
  std::uint64_t total_bytes_ = 0;
};

// The same of what lies there whole.
std::string sha256(std::string_view content);

}  // namespace kuaixun
