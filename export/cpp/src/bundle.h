// Opening a bundle: every byte is checked before it is parsed, and parsed from the bytes that were checked.
//
// version → manifest's own id → what a bundle may weigh → size and SHA-256 of every file → contents against each other
// (→ golden cases, on the student that will serve: see golden.h)
#pragma once

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

}  // namespace kuaixun
