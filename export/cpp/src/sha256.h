// SHA-256 (FIPS 180-4), by which a bundle's files are recognised. By the processor's own instructions where it has
// them: hashing the files would else be a fifth of the time that a bundle takes to open.
#pragma once

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

// 64 lower-case hexadecimal digits.
std::string sha256(std::string_view content);
std::string sha256(std::string_view content, Sha256Mixer mix);

}  // namespace kuaixun
