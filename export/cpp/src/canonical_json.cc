#include "canonical_json.h"

#include <algorithm>
#include <functional>

#include "error.h"
#include "json_text.h"

namespace kuaixun {

void CanonicalObject::real(const std::string& name, double value) {
  std::string text;
  append_json_number(value, text);
  member(name, std::move(text));
}

std::string CanonicalObject::text() const {
  std::string text = "{";
  for (const auto& [name, value] : members_) {
    if (text.size() > 1) text.push_back(',');
    text.append(canonical_string(name)).append(":").append(value);
  }
  return text + "}";
}

std::string CanonicalObject::canonical_string(const std::string& value) {
  std::string text;
  append_json_string(value, text);
  return text;
}

std::string canonical_array(const std::vector<std::string>& items) {
  std::string text = "[";
  for (const std::string& item : items) {
    if (text.size() > 1) text.push_back(',');
    text.append(item);
  }
  return text + "]";
}

std::string canonical_integers(const std::vector<std::int64_t>& numbers) {
  std::vector<std::string> items;
  for (const std::int64_t number : numbers) items.push_back(std::to_string(number));
  return canonical_array(items);
}

std::int64_t checked(const Json& value, const char* name, std::int64_t lowest, std::int64_t highest) {
  const std::int64_t number = value.integer(name);
  if (number < lowest || number > highest) throw FormatError(std::string(name) + " is out of range");
  return number;
}

double checked_real(const Json& object, const char* name, double lowest, double highest) {
  const double number = object.at(name).real(name);
  if (!(number >= lowest && number <= highest)) throw FormatError(std::string(name) + " is out of range");
  return number;
}

std::size_t positive(CanonicalObject& canonical, const Json& object, const char* name, std::int64_t otherwise,
                     std::int64_t highest) {
  const Json* value = object.find(name);
  const std::int64_t number = value == nullptr ? otherwise : checked(*value, name, 1, highest);
  canonical.integer(name, number);
  return static_cast<std::size_t>(number);
}

std::vector<std::int64_t> ascending_or(const Json& object, const char* name, std::vector<std::int64_t> otherwise,
                                       std::int64_t lowest, std::int64_t highest) {
  const Json* value = object.find(name);
  if (value == nullptr) return otherwise;
  std::vector<std::int64_t> numbers;
  for (const Json& item : value->array(name)) numbers.push_back(checked(item, name, lowest, highest));
  if (numbers.empty() || std::adjacent_find(numbers.begin(), numbers.end(), std::greater_equal<>()) != numbers.end()) {
    throw FormatError(std::string(name) + " must be distinct and ascending, and at least one");
  }
  return numbers;
}

}  // namespace kuaixun
