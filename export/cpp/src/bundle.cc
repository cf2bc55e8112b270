#include "bundle.h"

#include <algorithm>
#include <iterator>
#include <map>
#include <string>
#include <utility>

#include "bundle_limits.h"
#include "checked_file.h"
#include "code_point_table.h"
#include "error.h"
#include "file_names.h"
#include "printable.h"
#include "sha256.h"
#include "vocabulary.h"

namespace kuaixun {
namespace {

constexpr const char* parsed_files[] = {code_points_file, golden_file, patterns_file, vocabulary_file, weights_file};
constexpr const char* other_required_files[] = {model_card_file, torchscript_file};

bool is_file_name(const std::string& name) {
  return !name.empty() && name != "." && name != ".." && name != manifest_file &&
         name.find_first_of(std::string("/\\\0", 3)) == std::string::npos;
}

Manifest read_manifest(const std::string& folder) {
  const std::string path = path_of(folder, manifest_file);
  const std::string content = read_limited(folder, manifest_file, manifest_limit_bytes);
  Manifest manifest;
  try {
    manifest = parse_manifest(content);
    manifest.sha256 = sha256(content);
  } catch (const FormatError& error) {
    throw TamperedError(path + " is no sound manifest: " + error.what() + restore_advice);
  } catch (const Error& error) {
    throw Error(error.code(), path + " " + error.what());
  }
  // Its id vouches for what it says, not for its last byte.
  if (content.back() != '\n') {
    throw TamperedError(path + " is cut short: it ends without a newline" + restore_advice);
  }
  check_listed(manifest, path);
  return manifest;
}

bool is_parsed(const std::string& name) {
  return std::find(std::begin(parsed_files), std::end(parsed_files), name) != std::end(parsed_files);
}

}  // namespace

void check_listed(const Manifest& manifest, const std::string& path) {
  const auto expect = [&](const char* name) {
    if (manifest.files.count(name) == 0) throw Error(ErrorCode::bundle, path + " lists no " + name + restore_advice);
  };
  std::for_each(std::begin(parsed_files), std::end(parsed_files), expect);
  std::for_each(std::begin(other_required_files), std::end(other_required_files), expect);
  for (const auto& [name, _] : manifest.files) {
    if (!is_file_name(name)) {
      throw Error(ErrorCode::bundle, path + " lists " + shortened(name) + ", which is no name for a file of a bundle");
    }
  }
  check_sizes(manifest, path);
}

Bundle read_bundle(const std::string& folder) {
  Manifest manifest = read_manifest(folder);
  std::map<std::string, std::string> files;
  for (const auto& [name, entry] : manifest.files) {
    if (is_parsed(name)) {
      files[name] = read_checked(folder, name, entry);
    } else {
      check_file(folder, name, entry);
    }
  }
  return join_files(folder, std::move(manifest), std::move(files));
}

Bundle join_files(const std::string& folder, Manifest manifest, std::map<std::string, std::string> files) {
  const auto parse = [&](const char* name, auto parse_content) {
    try {
      const std::string content = std::move(files[name]);  // which nobody needs when it has been parsed
      return parse_content(content);
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
