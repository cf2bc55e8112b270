#include "json_text.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstring>

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
  char buffer[max_millionths_size];
  text.append(buffer, write_json_millionths(millionths, buffer));
}

char* write_json_millionths(int millionths, char* place) {
  if (millionths < 10) {
    std::string text;
    append_json_number(millionths / 1e6, text);
    return std::copy(text.begin(), text.end(), place);
  }
  if (millionths == 1000000) {
    std::memcpy(place, "1.0", 3);
    return place + 3;
  }
  // Two digits at a time, none of which waits for another.
  static constexpr char pairs[] =
      "00010203040506070809101112131415161718192021222324252627282930313233343536373839404142434445464748495051525354"
      "555657585960616263646566676869707172737475767778798081828384858687888990919293949596979899";
  const auto digits = static_cast<unsigned>(millionths);
  std::memcpy(place, "0.", 2);
  std::memcpy(place + 2, pairs + 2 * (digits / 10000), 2);
  std::memcpy(place + 4, pairs + 2 * (digits / 100 % 100), 2);
  std::memcpy(place + 6, pairs + 2 * (digits % 100), 2);
  char* end = place + max_millionths_size;
  while (end[-1] == '0') --end;
  return end;
}

}  // namespace kuaixun
