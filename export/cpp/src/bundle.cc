#include "bundle.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <map>
#include <memory>

#include "code_point_table.h"
#include "error.h"
#include "sha256.h"
#include "vocabulary.h"

namespace kuaixun {
namespace {

constexpr const char* manifest_file = "manifest.json";
constexpr const char* weights_file = "weights.safetensors";
constexpr const char* golden_file = "golden.jsonl";
constexpr const char* code_points_file = "codepoints.tsv";
constexpr const char* patterns_file = "patterns.json";
constexpr const char* vocabulary_file = "vocabulary.tsv";
constexpr const char* required_files[] = {"MODEL_CARD.md", code_points_file, golden_file, patterns_file,
                                          "student.pt",    vocabulary_file,  weights_file};
constexpr std::uint64_t manifest_limit_bytes = 1 << 20;
constexpr std::uint64_t file_limit_bytes = std::uint64_t{1} << 30;
constexpr const char* restore = ". Copy the bundle again from where it was made.";

std::string path_of(const std::string& folder, const std::string& name) { return folder + "/" + name; }

using OpenFile = std::unique_ptr<std::FILE, int (*)(std::FILE*)>;

OpenFile open_file(const std::string& path) {
  // Not blocking, because a pipe that nobody writes to would wait for ever.
  const int descriptor = ::open(path.c_str(), O_RDONLY | O_NONBLOCK | O_CLOEXEC);
  OpenFile file(descriptor < 0 ? nullptr : fdopen(descriptor, "rb"), std::fclose);
  if (!file) {
    const std::string reason = std::strerror(errno);
    if (descriptor >= 0) ::close(descriptor);
    throw TamperedError(path + " cannot be read: " + reason + restore);
  }
  struct stat status;
  if (fstat(descriptor, &status) != 0 || !S_ISREG(status.st_mode)) {
    throw TamperedError(path + " is no regular file" + restore);
  }
  return file;
}

// A file's bytes. Reads a block beyond the limit at most.
std::string read_file(const std::string& path, std::uint64_t limit_bytes) {
  const OpenFile file = open_file(path);
  std::string content;
  while (content.size() <= limit_bytes) {
    constexpr std::size_t block_bytes = 1 << 18;
    const std::size_t before = content.size();
    content.resize(before + block_bytes);
    const std::size_t got = std::fread(content.data() + before, 1, block_bytes, file.get());
    content.resize(before + got);
    if (got == 0) break;
  }
  if (std::ferror(file.get()) != 0) throw TamperedError(path + " cannot be read" + restore);
  if (content.size() > limit_bytes) {
    throw TamperedError(path + " is larger than the " + std::to_string(limit_bytes) + " bytes expected" + restore);
  }
  return content;
}

bool is_file_name(const std::string& name) {
  return !name.empty() && name != "." && name != ".." && name != manifest_file &&
         name.find_first_of(std::string("/\\\0", 3)) == std::string::npos;
}

Manifest read_manifest(const std::string& folder) {
  const std::string path = path_of(folder, manifest_file);
  const std::string content = read_file(path, manifest_limit_bytes);
  Manifest manifest;
  try {
    manifest = parse_manifest(content);
  } catch (const FormatError& error) {
    throw TamperedError(path + " is no sound manifest: " + error.what() + restore);
  } catch (const Error& error) {
    throw Error(error.code(), path + " " + error.what());
  }
  // Its id vouches for what it says, not for its last byte.
  if (content.back() != '\n') {
    throw TamperedError(path + " is cut short: it ends without a newline" + restore);
  }
  for (const char* name : required_files) {
    if (manifest.files.count(name) == 0) throw Error(ErrorCode::bundle, path + " lists no " + name + restore);
  }
  for (const auto& [name, entry] : manifest.files) {
    if (!is_file_name(name)) {
      throw Error(ErrorCode::bundle, path + " lists " + name + ", which is no name for a file of a bundle");
    }
    if (entry.size_bytes > file_limit_bytes) {
      throw Error(ErrorCode::bundle, path + " promises " + name + " at more bytes than any bundle's");
    }
  }
  return manifest;
}

std::string read_checked(const std::string& folder, const std::string& name, const FileEntry& entry) {
  const std::string path = path_of(folder, name);
  std::string content = read_file(path, entry.size_bytes);
  if (content.size() < entry.size_bytes) throw TamperedError(path + " is cut short" + restore);
  if (sha256(content) != entry.sha256) {
    throw TamperedError(path + " was altered: its SHA-256 is not the manifest's" + restore);
  }
  return content;
}

}  // namespace

Bundle read_bundle(const std::string& folder) {
  Manifest manifest = read_manifest(folder);
  std::map<std::string, std::string> files;
  for (const auto& [name, entry] : manifest.files) files[name] = read_checked(folder, name, entry);

  const auto parse = [&](const char* name, auto parse_content) {
    try {
      return parse_content(files[name]);
    } catch (const FormatError& error) {
      throw Error(ErrorCode::bundle, path_of(folder, name) + " is unusable: " + error.what());
    }
  };
  auto table = parse(code_points_file, parse_code_point_table);
  auto patterns = parse(patterns_file, parse_patterns);
  const auto characters = parse(vocabulary_file, [&](std::string_view content) {
    auto parsed = parse_vocabulary(content);
    if (special_ids + parsed.size() != manifest.architecture.vocabulary_size) {
      throw FormatError("it has " + std::to_string(special_ids + parsed.size()) + " entries; the architecture says " +
                        std::to_string(manifest.architecture.vocabulary_size));
    }
    return parsed;
  });
  auto weights = parse(weights_file, [&](std::string_view content) {
    return parse_student_weights(content, manifest.architecture, manifest.labels.size());
  });
  auto golden =
      parse(golden_file, [&](std::string_view content) { return parse_golden(content, manifest.labels.size()); });
  TextPipeline pipeline(manifest.text, std::move(table), std::move(patterns), characters);
  return Bundle{folder, std::move(manifest), std::move(pipeline), std::move(weights), std::move(golden)};
}

}  // namespace kuaixun
