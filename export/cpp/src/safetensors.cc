#include "safetensors.h"

#include <algorithm>
#include <limits>

#include "error.h"
#include "json.h"
#include "printable.h"

namespace kuaixun {
namespace {

std::uint64_t unsigned_of(const Json& value, const char* what) {
  const std::int64_t number = value.integer(what);
  if (number < 0) throw FormatError(std::string(what) + " is negative");
  return static_cast<std::uint64_t>(number);
}

std::uint64_t product(const std::vector<std::uint64_t>& factors, std::uint64_t first) {
  std::uint64_t result = first;
  for (const std::uint64_t factor : factors) {
    if (factor != 0 && result > std::numeric_limits<std::uint64_t>::max() / factor)
      throw FormatError("a shape overflows");
    result *= factor;
  }
  return result;
}

}  // namespace

std::map<std::string, Tensor> read_safetensors(std::string_view content) {
  if (content.size() < safetensors_length_bytes) throw FormatError("not a safetensors file: too short");
  std::uint64_t header_bytes = 0;
  for (std::size_t i = 0; i < safetensors_length_bytes; ++i) {
    header_bytes |= std::uint64_t{static_cast<unsigned char>(content[i])} << (8 * i);
  }
  if (header_bytes > safetensors_header_limit_bytes || header_bytes > content.size() - safetensors_length_bytes) {
    throw FormatError("not a safetensors file: its header is longer than it can be");
  }
  const Json header = Json::parse(content.substr(safetensors_length_bytes, header_bytes));
  const std::string_view data = content.substr(safetensors_length_bytes + header_bytes);

  std::map<std::string, Tensor> tensors;
  std::vector<std::pair<std::uint64_t, std::uint64_t>> extents;
  for (const auto& [name, entry] : header.object("the safetensors header")) {
    if (name == "__metadata__") {
      for (const auto& [key, value] : entry.object("__metadata__")) value.string(shortened(key).c_str());
      continue;
    }
    entry.expect_only({"dtype", "shape", "data_offsets"}, "a tensor's entry");
    Tensor tensor;
    tensor.dtype = entry.at("dtype").string("dtype");
    const std::uint64_t element_bytes = tensor.dtype == "I8"                             ? 1
                                        : tensor.dtype == "F16" || tensor.dtype == "I16" ? 2
                                        : tensor.dtype == "F32"                          ? 4
                                                                                         : 0;
    if (element_bytes == 0) throw FormatError(shortened(name) + " is of the unknown type " + shortened(tensor.dtype));
    for (const Json& size : entry.at("shape").array("shape")) tensor.shape.push_back(unsigned_of(size, "shape"));
    const auto& offsets = entry.at("data_offsets").array("data_offsets");
    if (offsets.size() != 2) throw FormatError("data_offsets is no pair");
    const std::uint64_t begin = unsigned_of(offsets[0], "data_offsets");
    const std::uint64_t end = unsigned_of(offsets[1], "data_offsets");
    if (begin > end || end > data.size() || end - begin != product(tensor.shape, element_bytes)) {
      throw FormatError(shortened(name) + " has a place in the file that does not match its shape");
    }
    tensor.bytes = data.substr(begin, end - begin);
    extents.emplace_back(begin, end);
    tensors.emplace(name, std::move(tensor));
  }
  std::sort(extents.begin(), extents.end());
  std::uint64_t reached = 0;
  for (const auto& [begin, end] : extents) {
    if (begin != reached) throw FormatError("the tensors overlap or leave gaps");
    reached = end;
  }
  if (reached != data.size()) throw FormatError("the file is longer than its tensors");
  return tensors;
}

}  // namespace kuaixun
