#include "sha256.h"

#include <algorithm>
#include <cstring>

#include "sha256_constants.h"

namespace kuaixun {
namespace {

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
  for (; count > 0; --count, blocks += 64) mix(state, blocks);
}

Sha256::Sha256() {
  static const Sha256Mixer own = sha256_mixer_of_processor();
  mix_ = own != nullptr ? own : sha256_mix_portable;
}

void Sha256::add(std::string_view piece) {
  if (piece.empty()) return;
  auto bytes = reinterpret_cast<const unsigned char*>(piece.data());
  std::size_t left = piece.size();
  total_bytes_ += left;
  if (pending_bytes_ > 0) {
    const std::size_t taken = std::min(left, block_bytes - pending_bytes_);
    std::memcpy(pending_.data() + pending_bytes_, bytes, taken);
    pending_bytes_ += taken;
    bytes += taken;
    left -= taken;
    if (pending_bytes_ < block_bytes) return;
    mix_(state_.data(), pending_.data(), 1);
  }
  mix_(state_.data(), bytes, left / block_bytes);
  pending_bytes_ = left % block_bytes;
  std::memcpy(pending_.data(), bytes + left - pending_bytes_, pending_bytes_);
}

std::string Sha256::hexadecimal() {
  // The rest, a one bit, zeros, and the length in bits: one block or two.
  unsigned char tail[2 * block_bytes] = {};
  std::memcpy(tail, pending_.data(), pending_bytes_);
  tail[pending_bytes_] = 0x80;
  const std::size_t tail_bytes = pending_bytes_ + 9 <= block_bytes ? block_bytes : 2 * block_bytes;
  const std::uint64_t bits = total_bytes_ * 8;
  for (std::size_t i = 0; i < 8; ++i) tail[tail_bytes - 1 - i] = static_cast<unsigned char>(bits >> (8 * i));
  mix_(state_.data(), tail, tail_bytes / block_bytes);

  static constexpr char digits[] = "0123456789abcdef";
  std::string hexadecimal;
  for (const std::uint32_t word : state_) {
    for (int shift = 28; shift >= 0; shift -= 4) hexadecimal.push_back(digits[word >> shift & 15]);
  }
  return hexadecimal;
}

std::string sha256(std::string_view content) {
  Sha256 digest;
  digest.add(content);
  return digest.hexadecimal();
}

}  // namespace kuaixun
