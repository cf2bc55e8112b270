#include "manifest.h"

#include <algorithm>
#include <limits>
#include <numeric>
#include <set>

#include "error.h"
#include "json.h"
#include "json_text.h"
#include "sha256.h"

namespace kuaixun {
namespace {

constexpr std::size_t model_id_digits = 16;
constexpr double lowest_temperature = 0.01;
constexpr double highest_temperature = 100.0;
constexpr std::uint64_t folded_limit_bytes = 512 << 20;
constexpr std::int64_t unbounded = std::numeric_limits<std::int64_t>::max();

// Reads a field and writes its canonical form in the same step, so that neither can forget one: a JSON object with its
// names sorted, defaults filled in and numbers in their shortest form, as msgspec writes the Python structure.
class CanonicalObject {
 public:
  void member(const std::string& name, std::string text) { members_[name] = std::move(text); }
  void integer(const std::string& name, std::int64_t value) { member(name, std::to_string(value)); }
  void string(const std::string& name, const std::string& value) { member(name, quoted(value)); }
  void real(const std::string& name, double value) {
    std::string text;
    append_json_number(value, text);
    member(name, std::move(text));
  }
  std::string text() const {
    std::string text = "{";
    for (const auto& [name, value] : members_) {
      if (text.size() > 1) text.push_back(',');
      text.append(quoted(name)).append(":").append(value);
    }
    return text + "}";
  }

  static std::string quoted(const std::string& value) {
    std::string text;
    append_json_string(value, text);
    return text;
  }

 private:
  std::map<std::string, std::string> members_;
};

std::string canonical_array(const std::vector<std::string>& items) {
  std::string text = "[";
  for (const std::string& item : items) {
    if (text.size() > 1) text.push_back(',');
    text.append(item);
  }
  return text + "]";
}

std::int64_t checked(const Json& value, const char* name, std::int64_t lowest, std::int64_t highest) {
  const std::int64_t number = value.integer(name);
  if (number < lowest || number > highest) throw FormatError(std::string(name) + " is out of range");
  return number;
}

std::int64_t integer_or(const Json& object, const char* name, std::int64_t otherwise, std::int64_t highest) {
  const Json* value = object.find(name);
  return value == nullptr ? otherwise : checked(*value, name, 1, highest);
}

std::size_t positive(CanonicalObject& canonical, const Json& object, const char* name, std::int64_t otherwise,
                     std::int64_t highest) {
  const std::int64_t number = integer_or(object, name, otherwise, highest);
  canonical.integer(name, number);
  return static_cast<std::size_t>(number);
}

std::vector<std::int64_t> integers_or(const Json& object, const char* name, std::vector<std::int64_t> otherwise,
                                      std::int64_t lowest, std::int64_t highest) {
  const Json* value = object.find(name);
  if (value == nullptr) return otherwise;
  std::vector<std::int64_t> numbers;
  for (const Json& item : value->array(name)) numbers.push_back(checked(item, name, lowest, highest));
  return numbers;
}

std::vector<std::int64_t> ascending_or(const Json& object, const char* name, std::vector<std::int64_t> otherwise,
                                       std::int64_t lowest, std::int64_t highest) {
  auto numbers = integers_or(object, name, std::move(otherwise), lowest, highest);
  if (numbers.empty() || std::adjacent_find(numbers.begin(), numbers.end(), std::greater_equal<>()) != numbers.end()) {
    throw FormatError(std::string(name) + " must be distinct and ascending, and at least one");
  }
  return numbers;
}

std::string canonical_integers(const std::vector<std::int64_t>& numbers) {
  std::vector<std::string> items;
  for (const std::int64_t number : numbers) items.push_back(std::to_string(number));
  return canonical_array(items);
}

std::string checked_sha256(const Json& value) {
  const std::string& digits = value.string("sha256");
  if (digits.size() != 64 || digits.find_first_not_of("0123456789abcdef") != std::string::npos) {
    throw FormatError("sha256 is not 64 hexadecimal digits");
  }
  return digits;
}

std::string read_text_parameters(const Json& json, TextParameters& text) {
  json.expect_only({"max_raw_chars", "max_tokens", "prepend_cls"}, "text");
  CanonicalObject canonical;
  text.max_raw_chars = positive(canonical, json, "max_raw_chars", 2048, 1 << 20);
  text.max_tokens = positive(canonical, json, "max_tokens", 32, 4096);
  if (const Json* prepend = json.find("prepend_cls")) text.prepend_cls = prepend->boolean("prepend_cls");
  canonical.member("prepend_cls", text.prepend_cls ? "true" : "false");
  return canonical.text();
}

std::string read_ngrams(const Json& json, NgramBranch& branch) {
  json.expect_only({"orders", "bucket_bits", "size"}, "ngrams");
  CanonicalObject canonical;
  const auto orders = ascending_or(json, "orders", {2, 3}, 2, 3);
  for (const std::int64_t order : orders) branch.orders.push_back(static_cast<unsigned>(order));
  canonical.member("orders", canonical_integers(orders));
  branch.bucket_bits = static_cast<unsigned>(positive(canonical, json, "bucket_bits", 17, 24));
  positive(canonical, json, "size", 32, unbounded);
  return canonical.text();
}

std::string read_architecture(const Json& json, Architecture& architecture) {
  json.expect_only({"vocabulary_size", "embedding_size", "widths", "filters", "ngrams"}, "architecture");
  CanonicalObject canonical;
  architecture.vocabulary_size =
      static_cast<std::size_t>(checked(json.at("vocabulary_size"), "vocabulary_size", 4, 1 << 20));
  canonical.integer("vocabulary_size", static_cast<std::int64_t>(architecture.vocabulary_size));
  architecture.embedding_size = positive(canonical, json, "embedding_size", 200, 4096);
  architecture.filters = positive(canonical, json, "filters", 256, 1 << 16);
  const auto widths = ascending_or(json, "widths", {2, 3, 4}, 1, 16);
  for (const std::int64_t width : widths) architecture.widths.push_back(static_cast<std::size_t>(width));
  const auto places = std::accumulate(widths.begin(), widths.end(), std::uint64_t{0});
  if (places * architecture.vocabulary_size * architecture.filters * sizeof(float) > folded_limit_bytes) {
    throw FormatError("the student folds to more than " + std::to_string(folded_limit_bytes) + " bytes");
  }
  canonical.member("widths", canonical_integers(widths));
  const Json* ngrams = json.find("ngrams");
  if (ngrams == nullptr || ngrams->is_null()) {
    canonical.member("ngrams", "null");
  } else {
    canonical.member("ngrams", read_ngrams(*ngrams, architecture.ngrams.emplace()));
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

double checked_real(const Json& object, const char* name, double lowest, double highest) {
  const double number = object.at(name).real(name);
  if (!(number >= lowest && number <= highest)) throw FormatError(std::string(name) + " is out of range");
  return number;
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
    canonical.push_back(CanonicalObject::quoted(label));
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

Manifest parse_manifest(std::string_view content) {
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
  manifest.temperature = checked_real(json, "temperature", lowest_temperature, highest_temperature);
  canonical.real("temperature", manifest.temperature);
  canonical.member("precision", read_precision(json.at("precision"), manifest.default_precision));
  canonical.member("metrics", canonical_metrics(json.at("metrics")));
  canonical.member("training", canonical_training(json.at("training")));
  canonical.member("files", read_files(json.at("files"), manifest.files));
  if (sha256(canonical.text()).substr(0, model_id_digits) != manifest.model_id) {
    throw FormatError("it was altered: its content does not hash to its model_id");
  }
  return manifest;
}

}  // namespace kuaixun
