#include "json_text.h"

#include <charconv>
#include <cmath>

namespace kuaixun {

void append_json_string(std::string_view utf8, std::string& text) {
  static constexpr char digits[] = "0123456789abcdef";
  text.push_back('"');
  for (const char character : utf8) {
    const auto byte = static_cast<unsigned char>(character);
    if (byte >= 0x20 && byte != '"' && byte != '\\') {
      text.push_back(character);
      continue;
    }
    text.push_back('\\');
    switch (character) {
      case '"':
      case '\\':
        text.push_back(character);
        break;
      case '\b':
        text.push_back('b');
        break;
      case '\t':
        text.push_back('t');
        break;
      case '\n':
        text.push_back('n');
        break;
      case '\f':
        text.push_back('f');
        break;
      case '\r':
        text.push_back('r');
        break;
      default:
        text.append("u00");
        text.push_back(digits[byte >> 4]);
        text.push_back(digits[byte & 15]);
    }
  }
  text.push_back('"');
}

void append_json_number(double number, std::string& text) {
  if (std::signbit(number)) text.push_back('-');
  number = std::fabs(number);
  if (number == 0.0) {
    text.append("0.0");
    return;
  }
  char buffer[40];
  const char* const end = std::to_chars(buffer, buffer + sizeof buffer, number, std::chars_format::scientific).ptr;
  std::string digits;
  const char* next = buffer;
  for (; *next != 'e'; ++next) {
    if (*next != '.') digits.push_back(*next);
  }
  int exponent = 0;
  std::from_chars(next + (next[1] == '+' ? 2 : 1), end, exponent);
  const int count = static_cast<int>(digits.size());
  const int before_point = exponent + 1;
  if (before_point > 16 || before_point <= -5) {
    text.push_back(digits[0]);
    if (count > 1) text.append(".").append(digits, 1);
    text.append("e").append(std::to_string(exponent));
  } else if (before_point <= 0) {
    text.append("0.").append(static_cast<std::size_t>(-before_point), '0').append(digits);
  } else if (before_point >= count) {
    text.append(digits).append(static_cast<std::size_t>(before_point - count), '0').append(".0");
  } else {
    const auto point = static_cast<std::size_t>(before_point);
    text.append(digits, 0, point).append(".").append(digits, point);
  }
}

void append_json_millionths(int millionths, std::string& text) {
  if (millionths < 10) {
    append_json_number(millionths / 1e6, text);
    return;
  }
  if (millionths == 1000000) {
    text.append("1.0");
    return;
  }
  char buffer[8] = {'0', '.', '0', '0', '0', '0', '0', '0'};
  for (int place = 7; place > 1; --place, millionths /= 10) buffer[place] = static_cast<char>('0' + millionths % 10);
  std::size_t size = sizeof buffer;
  while (buffer[size - 1] == '0') --size;
  text.append(buffer, size);
}

}  // namespace kuaixun
