#include "manifest.h"

#include <algorithm>
#include <limits>
#include <set>

#include "canonical_json.h"
#include "error.h"
#include "json.h"
#include "sha256.h"

namespace kuaixun {
namespace {

constexpr std::size_t model_id_digits = 16;
constexpr double lowest_temperature = 0.01;
constexpr double highest_temperature = 100.0;

std::string checked_sha256(const Json& value) {
  const std::string& digits = value.string("sha256");
  if (digits.size() != 64 || digits.find_first_not_of("0123456789abcdef") != std::string::npos) {
    throw FormatError("sha256 is not 64 hexadecimal digits");
  }
  return digits;
}

std::string read_text_parameters(const Json& json, TextParameters& text) {
  json.expect_only({"max_raw_chars", "max_tokens", "prepend_cls", "append_cls"}, "text");
  CanonicalObject canonical;
  text.max_raw_chars = positive(canonical, json, "max_raw_chars", 2048, 1 << 20);
  text.max_tokens = positive(canonical, json, "max_tokens", 32, 4096);
  if (const Json* prepend = json.find("prepend_cls")) text.prepend_cls = prepend->boolean("prepend_cls");
  canonical.member("prepend_cls", text.prepend_cls ? "true" : "false");
  // Its default is not filled in: manifests from before there was such a member keep their ids.
  if (const Json* append = json.find("append_cls")) {
    text.append_cls = append->boolean("append_cls");
    canonical.member("append_cls", text.append_cls ? "true" : "false");
  }
  return canonical.text();
}

std::string canonical_metrics(const Json& json) {
  CanonicalObject roles;
  for (const auto& [role, figures] : json.object("metrics")) {
    CanonicalObject canonical;
    for (const auto& [name, value] : figures.object("metrics")) canonical.real(name, value.real("a metric"));
    roles.member(role, canonical.text());
  }
  return roles.text();
}

std::string canonical_cost(const Json& json) {
  json.expect_only({"accuracy_difference", "label_agreement", "largest_logit_difference"}, "a precision's cost");
  CanonicalObject canonical;
  canonical.real("accuracy_difference", checked_real(json, "accuracy_difference", -1.0, 1.0));
  canonical.real("label_agreement", checked_real(json, "label_agreement", 0.0, 1.0));
  canonical.real("largest_logit_difference",
                 checked_real(json, "largest_logit_difference", 0.0, std::numeric_limits<double>::max()));
  return canonical.text();
}

std::string read_precision(const Json& json, Precision& default_precision) {
  json.expect_only({"default", "costs"}, "precision");
  CanonicalObject canonical;
  const std::string& name = json.at("default").string("default");
  const std::optional<Precision> named = precision_named(name);
  if (!named) throw FormatError("the default precision is none of fp32, bf16 and int8");
  default_precision = *named;
  canonical.string("default", name);
  const Json& costs = json.at("costs");
  costs.expect_only({"bf16", "int8"}, "costs");
  CanonicalObject canonical_costs;
  for (const char* precision : {"bf16", "int8"}) {
    canonical_costs.member(precision, canonical_cost(costs.at(precision)));
  }
  canonical.member("costs", canonical_costs.text());
  return canonical.text();
}

// Unknown fields are tolerated here and have no part in the hash, as in Python.
std::string canonical_training(const Json& json) {
  json.object("training");
  CanonicalObject canonical;
  canonical.string("command", json.at("command").string("command"));
  canonical.integer("seed", json.at("seed").integer("seed"));
  CanonicalObject versions;
  for (const auto& [name, version] : json.at("versions").object("versions")) {
    versions.string(name, version.string("a version"));
  }
  canonical.member("versions", versions.text());
  std::vector<std::string> files;
  for (const Json& item : json.at("data").array("data")) {
    CanonicalObject file;
    item.object("a data file");
    file.string("role", item.at("role").string("role"));
    file.string("name", item.at("name").string("name"));
    file.integer("rows", item.at("rows").integer("rows"));
    file.string("sha256", checked_sha256(item.at("sha256")));
    files.push_back(file.text());
  }
  canonical.member("data", canonical_array(files));
  if (const Json* counts = json.find("label_counts")) {
    CanonicalObject canonical_counts;
    for (const auto& [label, count] : counts->object("label_counts")) {
      canonical_counts.integer(label, checked(count, "a label's count", 0, unbounded));
    }
    // Nothing is the default, which is left out.
    if (canonical_counts.text() != "{}") canonical.member("label_counts", canonical_counts.text());
  }
  return canonical.text();
}

std::string read_files(const Json& json, std::map<std::string, FileEntry>& files) {
  CanonicalObject canonical;
  for (const auto& [name, entry] : json.object("files")) {
    entry.expect_only({"size_bytes", "sha256"}, "a file's entry");
    FileEntry& file = files[name];
    file.size_bytes = static_cast<std::uint64_t>(checked(entry.at("size_bytes"), "size_bytes", 0, unbounded));
    file.sha256 = checked_sha256(entry.at("sha256"));
    CanonicalObject canonical_entry;
    canonical_entry.integer("size_bytes", static_cast<std::int64_t>(file.size_bytes));
    canonical_entry.string("sha256", file.sha256);
    canonical.member(name, canonical_entry.text());
  }
  return canonical.text();
}

std::string read_labels(const Json& json, std::vector<std::string>& labels) {
  std::vector<std::string> canonical;
  for (const Json& item : json.array("labels")) {
    const std::string& label = item.string("a label");
    const auto characters = std::count_if(label.begin(), label.end(), [](char byte) { return (byte & 0xC0) != 0x80; });
    if (characters < 1 || characters > 200) throw FormatError("a label is empty or too long");
    labels.push_back(label);
    canonical.push_back(CanonicalObject::canonical_string(label));
  }
  if (labels.size() < 2) throw FormatError("there are fewer than two labels");
  if (std::set<std::string>(labels.begin(), labels.end()).size() != labels.size()) {
    throw FormatError("a label is named twice");
  }
  return canonical_array(canonical);
}

void expect_version(const Json& json) {
  const std::int64_t version = json.at("format_version").integer("format_version");
  if (version != bundle_format_version) {
    throw Error(ErrorCode::bundle_version, "is of bundle format " + std::to_string(version) +
                                               "; this version of kuaixun reads format " +
                                               std::to_string(bundle_format_version) +
                                               ". Build it again from its checkpoint (kuaixun-export build), or "
                                               "install the kuaixun that wrote it.");
  }
}

}  // namespace

Manifest parse_unsigned_manifest(std::string_view content) {
  const Json json = Json::parse(content);
  json.object("the manifest");
  expect_version(json);
  json.expect_only({"format_version", "model_id", "created_at", "labels", "text", "architecture", "temperature",
                    "precision", "metrics", "training", "files"},
                   "the manifest");
  Manifest manifest;
  CanonicalObject canonical;
  canonical.integer("format_version", bundle_format_version);
  manifest.model_id = json.at("model_id").string("model_id");
  canonical.string("model_id", "");
  canonical.string("created_at", json.at("created_at").string("created_at"));
  canonical.member("labels", read_labels(json.at("labels"), manifest.labels));
  canonical.member("text", read_text_parameters(json.at("text"), manifest.text));
  canonical.member("architecture", read_architecture(json.at("architecture"), manifest.architecture));
  check_folded_bytes(manifest.architecture, manifest.labels.size());
  manifest.temperature = checked_real(json, "temperature", lowest_temperature, highest_temperature);
  canonical.real("temperature", manifest.temperature);
  canonical.member("precision", read_precision(json.at("precision"), manifest.default_precision));
  canonical.member("metrics", canonical_metrics(json.at("metrics")));
  canonical.member("training", canonical_training(json.at("training")));
  canonical.member("files", read_files(json.at("files"), manifest.files));
  manifest.content_id = sha256(canonical.text()).substr(0, model_id_digits);
  return manifest;
}

Manifest parse_manifest(std::string_view content) {
  Manifest manifest = parse_unsigned_manifest(content);
  if (manifest.content_id != manifest.model_id) {
    throw FormatError("it was altered: its content does not hash to its model_id");
  }
  return manifest;
}

}  // namespace kuaixun
