// Opening a bundle: every byte is checked before it is parsed, and parsed from the bytes that were checked. All but the
// white space between the manifest's tokens, which says nothing and is no part of its own id.
//
// version → manifest's own id → what a bundle may weigh → size and SHA-256 of every file → contents against each other
// (→ golden cases, on the student that will serve: see golden.h)
#pragma once

#include <map>
#include <string>
#include <vector>

#include "golden.h"
#include "manifest.h"
#include "student_weights.h"
#include "text_pipeline.h"

namespace kuaixun {

struct Bundle {
  std::string folder;
  Manifest manifest;
  TextPipeline pipeline;
  StudentWeights weights;
  std::vector<GoldenCase> golden;
};

// Raises Error (bundle, bundle_version) naming the file and the reason.
Bundle read_bundle(const std::string& folder);

// Two of its steps, for whoever has the files from elsewhere. Each raises Error (bundle).

// Whether the manifest, which stands in `path`, lists what a bundle needs, under names and at sizes that one may have.
void check_listed(const Manifest& manifest, const std::string& path);

// Parses files whose bytes have been checked, by name, and holds them against each other.
Bundle join_files(const std::string& folder, Manifest manifest, std::map<std::string, std::string> files);

}  // namespace kuaixun
