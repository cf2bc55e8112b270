// A small strict JSON reader (RFC 8259) for the bundle's files: nothing but the standard, bounded depth, no recursion
// deeper than that, duplicate names refused; export/plain_json.py draws the same lines. Ours because a source build of
// the Python package fetches nothing.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

namespace kuaixun {

constexpr int json_depth_limit = 32;  // brackets in brackets

class Json {
 public:
  using Member = std::pair<std::string, Json>;

  // Raises FormatError with the byte at fault.
  static Json parse(std::string_view text);

  bool is_null() const { return std::holds_alternative<std::monostate>(value_); }

  // Each raises FormatError, naming `what`, where the value is of another kind.
  std::int64_t integer(const char* what) const;
  double real(const char* what) const;  // an integer too
  bool boolean(const char* what) const;
  const std::string& string(const char* what) const;
  const std::vector<Json>& array(const char* what) const;
  const std::vector<Member>& object(const char* what) const;

  // The member of an object, or nullptr.
  const Json* find(std::string_view name) const;
  // Raises FormatError where it is missing.
  const Json& at(const char* name) const;
  // Raises FormatError for any member that is not among `names`.
  void expect_only(std::initializer_list<std::string_view> names, const char* what) const;

 private:
  friend class JsonParser;
  template <typename T>
  const T& as(const char* what, const char* wanted) const;
  // One at a time: a value is two bytes of a hostile file, and should not become a hundred.
  std::variant<std::monostate, bool, std::int64_t, double, std::string, std::vector<Json>, std::vector<Member>> value_;
};

}  // namespace kuaixun
