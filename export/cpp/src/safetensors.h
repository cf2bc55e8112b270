// The safetensors container: eight bytes of header length, a JSON header, the tensors' bytes without gaps.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

namespace kuaixun {

constexpr std::uint64_t safetensors_length_bytes = 8;
constexpr std::uint64_t safetensors_header_limit_bytes = 1 << 16;

struct Tensor {
  std::string dtype;
  std::vector<std::uint64_t> shape;
  std::string_view bytes;  // little-endian, in the content that was read; not aligned
};

// Checks that sizes match shapes and that the tensors cover the content exactly, without overlap. Half and single
// precision, 8-bit and 16-bit integers alone are accepted. Raises FormatError. The views last as long as `content`.
std::map<std::string, Tensor> read_safetensors(std::string_view content);

}  // namespace kuaixun
