#include "printable.h"

#include <algorithm>
#include <cstdio>
#include <iterator>

#include "utf8.h"

namespace kuaixun {
namespace {

// Unicode 16: general categories Cc, Cf, Zl and Zp, each run from its first to its last.
constexpr char32_t unprintable[][2] = {{0x00, 0x1F},       {0x7F, 0x9F},       {0xAD, 0xAD},       {0x600, 0x605},
                                       {0x61C, 0x61C},     {0x6DD, 0x6DD},     {0x70F, 0x70F},     {0x890, 0x891},
                                       {0x8E2, 0x8E2},     {0x180E, 0x180E},   {0x200B, 0x200F},   {0x2028, 0x202E},
                                       {0x2060, 0x2064},   {0x2066, 0x206F},   {0xFEFF, 0xFEFF},   {0xFFF9, 0xFFFB},
                                       {0x110BD, 0x110BD}, {0x110CD, 0x110CD}, {0x13430, 0x1343F}, {0x1BCA0, 0x1BCA3},
                                       {0x1D173, 0x1D17A}, {0xE0001, 0xE0001}, {0xE0020, 0xE007F}};

bool is_unprintable(char32_t point) {
  const auto run = std::find_if(std::begin(unprintable), std::end(unprintable),
                                [point](const char32_t(&one)[2]) { return point <= one[1]; });
  return run != std::end(unprintable) && point >= (*run)[0];
}

void append_escape(char32_t point, std::string& text) {
  char escape[16];
  const char* const format = point < 0x100 ? "\\x%02x" : point < 0x10000 ? "\\u%04x" : "\\U%08x";
  std::snprintf(escape, sizeof escape, format, static_cast<unsigned>(point));
  text.append(escape);
}

}  // namespace

std::string printable(std::string_view text) {
  std::string shown;
  auto next = reinterpret_cast<const unsigned char*>(text.data());
  const auto end = next + text.size();
  while (next != end) {
    const auto start = next;
    const char32_t point = decode_one(next, end, Surrogates::replace);
    const std::string_view bytes(reinterpret_cast<const char*>(start), static_cast<std::size_t>(next - start));
    if (point == replacement_character && !is_utf8(bytes)) {
      for (auto byte = start; byte != next; ++byte) append_escape(*byte, shown);
    } else if (is_unprintable(point)) {
      append_escape(point, shown);
    } else {
      shown.append(bytes);
    }
  }
  return shown;
}

std::string shortened(std::string_view text, std::size_t characters) {
  auto next = reinterpret_cast<const unsigned char*>(text.data());
  const auto start = next;
  const auto end = next + text.size();
  for (; next != end && characters > 0; --characters) decode_one(next, end, Surrogates::replace);
  return std::string(text.substr(0, static_cast<std::size_t>(next - start)));
}

std::string_view whole_characters(std::string_view utf8, std::size_t bytes) {
  if (utf8.size() <= bytes) return utf8;
  while (bytes > 0 && (utf8[bytes] & 0xC0) == 0x80) --bytes;
  return utf8.substr(0, bytes);
}

}  // namespace kuaixun
