#include "json.h"

#include <algorithm>
#include <charconv>
#include <unordered_set>

#include "error.h"
#include "printable.h"
#include "utf8.h"

namespace kuaixun {

class JsonParser {
 public:
  explicit JsonParser(std::string_view text) : text_(text) {}

  Json document() {
    if (!is_utf8(text_)) throw FormatError("JSON that is not UTF-8");
    Json value = parse_value(0);
    skip_space();
    if (at_ != text_.size()) fail("trailing characters");
    return value;
  }

 private:
  [[noreturn]] void fail(const std::string& reason) const {
    throw FormatError("malformed JSON: " + reason + " (byte " + std::to_string(at_) + ")");
  }

  char peek() const { return at_ < text_.size() ? text_[at_] : '\0'; }

  void skip_space() {
    while (peek() == ' ' || peek() == '\t' || peek() == '\n' || peek() == '\r') ++at_;
  }

  void expect(std::string_view literal) {
    if (text_.substr(at_, literal.size()) != literal) fail("unexpected character");
    at_ += literal.size();
  }

  Json parse_value(int depth) {
    skip_space();
    if (depth == json_depth_limit && (peek() == '{' || peek() == '[')) fail("nested too deeply");
    Json value;
    switch (peek()) {
      case '{':
        parse_object(value, depth);
        break;
      case '[':
        parse_array(value, depth);
        break;
      case '"':
        value.value_ = parse_string();
        break;
      case 't':
        expect("true");
        value.value_ = true;
        break;
      case 'f':
        expect("false");
        value.value_ = false;
        break;
      case 'n':
        expect("null");
        break;
      default:
        parse_number(value);
    }
    return value;
  }

  void parse_object(Json& value, int depth) {
    auto& members = value.value_.emplace<std::vector<Json::Member>>();
    std::unordered_set<std::string> names;
    ++at_;
    skip_space();
    if (peek() == '}') {
      ++at_;
      return;
    }
    while (true) {
      skip_space();
      if (peek() != '"') fail("expected a member's name");
      std::string name = parse_string();
      if (!names.insert(name).second) fail("a name twice in one object");
      skip_space();
      expect(":");
      members.emplace_back(std::move(name), parse_value(depth + 1));
      skip_space();
      if (peek() == '}') break;
      expect(",");
    }
    ++at_;
  }

  void parse_array(Json& value, int depth) {
    auto& items = value.value_.emplace<std::vector<Json>>();
    ++at_;
    skip_space();
    if (peek() == ']') {
      ++at_;
      return;
    }
    while (true) {
      items.push_back(parse_value(depth + 1));
      skip_space();
      if (peek() == ']') break;
      expect(",");
    }
    ++at_;
  }

  std::string parse_string() {
    std::string string;
    ++at_;
    while (true) {
      if (at_ >= text_.size()) fail("unfinished string");
      const char character = text_[at_++];
      if (character == '"') return string;
      if (static_cast<unsigned char>(character) < 0x20) fail("control character in a string");
      if (character != '\\') {
        string.push_back(character);
        continue;
      }
      static constexpr std::string_view escapes = "\"\\/bfnrt";
      static constexpr std::string_view meanings = "\"\\/\b\f\n\r\t";
      const char escape = peek();
      ++at_;
      if (const auto place = escapes.find(escape); place != std::string_view::npos) {
        string.push_back(meanings[place]);
      } else if (escape == 'u') {
        append_utf8(parse_escaped_point(), string);
      } else {
        fail("unknown escape");
      }
    }
  }

  char32_t parse_escaped_point() {
    const char32_t first = parse_hex4();
    if (first >= 0xDC00 && first <= 0xDFFF) fail("lone surrogate");
    if (first < 0xD800 || first > 0xDBFF) return first;
    if (text_.substr(at_, 2) != "\\u") fail("lone surrogate");
    at_ += 2;
    const char32_t second = parse_hex4();
    if (second < 0xDC00 || second > 0xDFFF) fail("lone surrogate");
    return 0x10000 + ((first - 0xD800) << 10) + (second - 0xDC00);
  }

  char32_t parse_hex4() {
    unsigned value = 0;
    const std::string_view digits = text_.substr(std::min(at_, text_.size()), 4);
    const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), value, 16);
    if (digits.size() != 4 || error != std::errc() || end != digits.data() + 4)
      fail("expected four hexadecimal digits");
    at_ += 4;
    return value;
  }

  void skip_digits() {
    if (peek() < '0' || peek() > '9') fail("invalid number");
    while (peek() >= '0' && peek() <= '9') ++at_;
  }

  void parse_number(Json& value) {
    const std::size_t start = at_;
    bool integral = true;
    if (peek() == '-') ++at_;
    if (peek() == '0') {
      ++at_;
    } else {
      skip_digits();
    }
    if (peek() == '.') {
      integral = false;
      ++at_;
      skip_digits();
    }
    if (peek() == 'e' || peek() == 'E') {
      integral = false;
      ++at_;
      if (peek() == '+' || peek() == '-') ++at_;
      skip_digits();
    }
    const char* first = text_.data() + start;
    const char* last = text_.data() + at_;
    // Readers differ on whether it is an integer.
    if (integral && text_.substr(start, at_ - start) == "-0") fail("a negative zero without a fraction");
    std::errc error;
    if (integral) {
      error = std::from_chars(first, last, value.value_.emplace<std::int64_t>()).ec;
    } else {
      error = std::from_chars(first, last, value.value_.emplace<double>()).ec;
    }
    if (error != std::errc()) fail("number out of range");
  }

  std::string_view text_;
  std::size_t at_ = 0;
};

Json Json::parse(std::string_view text) { return JsonParser(text).document(); }

template <typename T>
const T& Json::as(const char* what, const char* wanted) const {
  const T* value = std::get_if<T>(&value_);
  if (value == nullptr) throw FormatError(std::string(what) + " is not " + wanted);
  return *value;
}

std::int64_t Json::integer(const char* what) const { return as<std::int64_t>(what, "an integer"); }

double Json::real(const char* what) const {
  if (const std::int64_t* whole = std::get_if<std::int64_t>(&value_)) return static_cast<double>(*whole);
  return as<double>(what, "a number");
}

bool Json::boolean(const char* what) const { return as<bool>(what, "true or false"); }

const std::string& Json::string(const char* what) const { return as<std::string>(what, "a string"); }

const std::vector<Json>& Json::array(const char* what) const { return as<std::vector<Json>>(what, "an array"); }

const std::vector<Json::Member>& Json::object(const char* what) const {
  return as<std::vector<Member>>(what, "an object");
}

const Json* Json::find(std::string_view name) const {
  if (const auto* members = std::get_if<std::vector<Member>>(&value_)) {
    for (const Member& member : *members) {
      if (member.first == name) return &member.second;
    }
  }
  return nullptr;
}

const Json& Json::at(const char* name) const {
  const Json* value = find(name);
  if (value == nullptr) throw FormatError(std::string("the field ") + name + " is missing");
  return *value;
}

void Json::expect_only(std::initializer_list<std::string_view> names, const char* what) const {
  for (const Member& member : object(what)) {
    if (std::find(names.begin(), names.end(), member.first) == names.end()) {
      throw FormatError(std::string(what) + " has an unknown field " + shortened(member.first));
    }
  }
}

}  // namespace kuaixun
