// The shape of a student: what schemas/manifest.py says of it, and what it takes to serve.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "json.h"

namespace kuaixun {

struct NgramBranch {
  std::vector<unsigned> orders;  // distinct, ascending
  unsigned bucket_bits = 0;
};

struct Architecture {
  std::size_t vocabulary_size = 0;
  std::size_t embedding_size = 0;
  std::vector<std::size_t> widths;  // distinct, ascending
  std::size_t filters = 0;
  std::optional<NgramBranch> ngrams;
};

// Reads it, and returns its canonical form. Raises FormatError.
std::string read_architecture(const Json& json, Architecture& architecture);

constexpr std::uint64_t folded_limit_bytes = std::uint64_t{512} << 20;

// The most that the student takes while it is folded: what folded_bytes of schemas/manifest.py adds up.
std::uint64_t folded_bytes(const Architecture& architecture, std::size_t classes);

// Raises FormatError where that is more than the limit.
void check_folded_bytes(const Architecture& architecture, std::size_t classes);

}  // namespace kuaixun
