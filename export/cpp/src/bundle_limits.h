// What a bundle may weigh: its manifest's sizes are held to this before anything else of it is allocated or read. What
// export/bundle/limits.py says, and why.
#pragma once

#include <cstdint>
#include <string>

#include "manifest.h"

namespace kuaixun {

constexpr std::uint64_t manifest_limit_bytes = 1 << 20;
constexpr std::uint64_t total_limit_bytes = std::uint64_t{1} << 31;

// The most that a file of this name may hold, in a bundle of that shape.
std::uint64_t file_limit_bytes(const std::string& name, const Architecture& architecture, std::size_t classes);

// Raises Error (bundle) where the manifest, which stands in `path`, promises more than that, or than all may hold.
void check_sizes(const Manifest& manifest, const std::string& path);

}  // namespace kuaixun
