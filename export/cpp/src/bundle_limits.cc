#include "bundle_limits.h"

#include "error.h"
#include "file_names.h"
#include "printable.h"
#include "safetensors.h"

namespace kuaixun {
namespace {

constexpr std::uint64_t patterns_limit_bytes = 1 << 18;
constexpr std::uint64_t golden_limit_bytes = 1 << 20;  // and for each class:
constexpr std::uint64_t golden_class_limit_bytes = 1 << 10;
constexpr std::uint64_t code_points_limit_bytes = 1 << 20;
constexpr std::uint64_t other_limit_bytes = 1 << 30;  // of files that are hashed and not parsed

constexpr std::uint64_t first_lines_bytes = 18;     // [PAD], [UNK], [CLS]
constexpr std::uint64_t character_line_bytes = 14;  // U+10FFFF, a tab, that character and a newline
constexpr std::uint64_t specials = 3;
constexpr std::uint64_t half_bytes = 2;
constexpr std::uint64_t single_bytes = 4;
constexpr std::uint64_t owner_bytes = 2;

// All tensors of weights.safetensors, none of whose dimensions can bring this near 64 bits.
std::uint64_t tensor_bytes(const Architecture& architecture, std::uint64_t classes) {
  const std::uint64_t filters = architecture.filters;
  std::uint64_t total = architecture.vocabulary_size * (architecture.embedding_size + half_bytes);
  for (const std::size_t width : architecture.widths) {
    total += filters * ((architecture.embedding_size * width + 1) * half_bytes + single_bytes);
  }
  total += classes * (architecture.widths.size() * filters + 1) * half_bytes;
  if (architecture.ngrams) {
    total += (std::uint64_t{1} << architecture.ngrams->bucket_bits) * (classes + owner_bytes) + classes * half_bytes;
  }
  return total;
}

}  // namespace

std::uint64_t file_limit_bytes(const std::string& name, const Architecture& architecture, std::size_t classes) {
  if (name == patterns_file) return patterns_limit_bytes;
  if (name == golden_file) return golden_limit_bytes + classes * golden_class_limit_bytes;
  if (name == code_points_file) return code_points_limit_bytes;
  if (name == vocabulary_file) {
    return first_lines_bytes + (architecture.vocabulary_size - specials) * character_line_bytes;
  }
  if (name != weights_file) return other_limit_bytes;
  return safetensors_length_bytes + safetensors_header_limit_bytes + tensor_bytes(architecture, classes);
}

void check_sizes(const Manifest& manifest, const std::string& path) {
  std::uint64_t total = 0;
  for (const auto& [name, entry] : manifest.files) {
    const std::uint64_t limit = file_limit_bytes(name, manifest.architecture, manifest.labels.size());
    if (entry.size_bytes > limit) {
      throw Error(ErrorCode::bundle, path + " promises " + shortened(name) + " at " + std::to_string(entry.size_bytes) +
                                         " bytes, and no bundle's has more than " + std::to_string(limit));
    }
    total += entry.size_bytes;
  }
  if (total > total_limit_bytes) {
    throw Error(ErrorCode::bundle, path + " promises " + std::to_string(total) +
                                       " bytes in all, and no bundle has more than " +
                                       std::to_string(total_limit_bytes));
  }
}

}  // namespace kuaixun
