// The bundle's manifest, typed: what schemas/manifest.py defines, and its content hash.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "precision.h"

namespace kuaixun {

constexpr std::int64_t bundle_format_version = 3;

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

struct TextParameters {
  std::size_t max_raw_chars = 0;
  std::size_t max_tokens = 0;
  bool prepend_cls = false;
};

struct FileEntry {
  std::uint64_t size_bytes = 0;
  std::string sha256;
};

struct Manifest {
  std::string model_id;
  std::string sha256;  // of the file as it was read; parse_manifest leaves it empty
  std::vector<std::string> labels;
  TextParameters text;
  Architecture architecture;
  double temperature = 1.0;
  Precision default_precision = Precision::fp32;
  std::map<std::string, FileEntry> files;
};

// Raises FormatError for what is no manifest or was altered since it was hashed, Error (bundle_version) for a manifest
// of another format.
Manifest parse_manifest(std::string_view content);

}  // namespace kuaixun
