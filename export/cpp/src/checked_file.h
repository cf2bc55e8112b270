// One file of a bundle: opened without waiting, weighed before it is read, and held to its SHA-256. What is not parsed
// passes through a small buffer, so that opening a bundle takes the memory of what it needs.
#pragma once

#include <cstdint>
#include <string>

#include "manifest.h"

namespace kuaixun {

constexpr const char* restore_advice = ". Copy the bundle again from where it was made.";

std::string path_of(const std::string& folder, const std::string& name);

// A file's bytes, where they are no more than that many. Raises TamperedError; Error (bundle) where there is no folder.
std::string read_limited(const std::string& folder, const std::string& name, std::uint64_t limit_bytes);

// A file's bytes, if they are those that the manifest promises. Raises as read_limited does.
std::string read_checked(const std::string& folder, const std::string& name, const FileEntry& entry);

// Raises as read_limited does where a file's bytes are not those that the manifest promises.
void check_file(const std::string& folder, const std::string& name, const FileEntry& entry);

}  // namespace kuaixun
