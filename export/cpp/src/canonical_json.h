// Reads a field and writes its canonical form in the same step, so that neither can forget one: a JSON object with its
// names sorted, defaults filled in and numbers in their shortest form, as msgspec writes the Python structure.
#pragma once

#include <cstdint>
#include <limits>
#include <map>
#include <string>
#include <vector>

#include "json.h"

namespace kuaixun {

class CanonicalObject {
 public:
  void member(const std::string& name, std::string text) { members_[name] = std::move(text); }
  void integer(const std::string& name, std::int64_t value) { member(name, std::to_string(value)); }
  void string(const std::string& name, const std::string& value) { member(name, canonical_string(value)); }
  void real(const std::string& name, double value);
  std::string text() const;

  static std::string canonical_string(const std::string& value);

 private:
  std::map<std::string, std::string> members_;
};

std::string canonical_array(const std::vector<std::string>& items);
std::string canonical_integers(const std::vector<std::int64_t>& numbers);

// What follows raises FormatError for what is of another kind or out of range.

constexpr std::int64_t unbounded = std::numeric_limits<std::int64_t>::max();

std::int64_t checked(const Json& value, const char* name, std::int64_t lowest, std::int64_t highest);
double checked_real(const Json& object, const char* name, double lowest, double highest);

// A member of an object that is at least 1, or its default.
std::size_t positive(CanonicalObject& canonical, const Json& object, const char* name, std::int64_t otherwise,
                     std::int64_t highest);

// Numbers that rise, at least one.
std::vector<std::int64_t> ascending_or(const Json& object, const char* name, std::vector<std::int64_t> otherwise,
                                       std::int64_t lowest, std::int64_t highest);

}  // namespace kuaixun
