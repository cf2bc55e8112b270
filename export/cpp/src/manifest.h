// The bundle's manifest, typed: what schemas/manifest.py defines, and its content hash.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "architecture.h"
#include "precision.h"

namespace kuaixun {

constexpr std::int64_t bundle_format_version = 3;

struct TextParameters {
  std::size_t max_raw_chars = 0;
  std::size_t max_tokens = 0;
  bool prepend_cls = false;
  bool append_cls = false;
};

struct FileEntry {
  std::uint64_t size_bytes = 0;
  std::string sha256;
};

struct Manifest {
  std::string model_id;    // that it bears
  std::string content_id;  // that it must bear
  std::string sha256;      // of the file as it was read; parse_manifest leaves it empty
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

// The same of a manifest that may bear any id.
Manifest parse_unsigned_manifest(std::string_view content);

}  // namespace kuaixun
