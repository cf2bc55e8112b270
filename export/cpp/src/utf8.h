// UTF-8 to code points and back, the first step of a headline's journey.
//
// What is not valid becomes U+FFFD, one for each maximal part of a sequence that began well, as Unicode recommends and
// Python's errors="replace" does: E2 82 gives one, an overlong C0 80 gives two.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace kuaixun {

constexpr char32_t replacement_character = 0xFFFD;
constexpr char32_t code_points = 0x110000;

enum class Surrogates { replace, pass };

// Decodes one code point at `next` < `end` and moves `next` past the bytes it took.
inline char32_t decode_one(const unsigned char*& next, const unsigned char* end, Surrogates surrogates) {
  const unsigned char lead = *next++;
  if (lead < 0x80) return lead;
  if (lead < 0xC2 || lead > 0xF4) return replacement_character;
  unsigned following = lead < 0xE0 ? 1 : lead < 0xF0 ? 2 : 3;
  char32_t point = lead & (0x3F >> following);
  // The second byte alone decides over overlong forms, surrogates and what lies beyond U+10FFFF.
  unsigned char lowest = 0x80;
  unsigned char highest = 0xBF;
  if (lead == 0xE0) lowest = 0xA0;
  if (lead == 0xED && surrogates == Surrogates::replace) highest = 0x9F;
  if (lead == 0xF0) lowest = 0x90;
  if (lead == 0xF4) highest = 0x8F;
  for (; following > 0; --following) {
    if (next == end || *next < lowest || *next > highest) return replacement_character;
    point = point << 6 | (*next++ & 0x3F);
    lowest = 0x80;
    highest = 0xBF;
  }
  return point;
}

// At most `limit` code points of `text`, appended to `points`.
void decode(std::string_view text, Surrogates surrogates, std::size_t limit, std::vector<char32_t>& points);

// Whether `text` is UTF-8 throughout, without surrogates.
bool is_utf8(std::string_view text);

void append_utf8(char32_t point, std::string& text);

}  // namespace kuaixun
