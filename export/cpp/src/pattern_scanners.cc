#include "pattern_scanners.h"

#include <algorithm>
#include <string_view>

namespace kuaixun {
namespace {

using Text = std::vector<char32_t>;

constexpr std::size_t tag_limit = 512;
constexpr std::size_t scheme_limit = 16;  // its first letter and up to fifteen more
constexpr std::size_t address_limit = 2048;
constexpr std::size_t local_part_limit = 64;
constexpr std::size_t domain_label_limit = 63;
constexpr std::size_t domain_labels_limit = 8;  // beyond the first

bool is_digit(char32_t c) { return c >= '0' && c <= '9'; }
bool is_letter(char32_t c) { return c < 0x80 && (c | 0x20) >= 'a' && (c | 0x20) <= 'z'; }
bool is_alphanumeric(char32_t c) { return is_digit(c) || is_letter(c); }
bool is_hexadecimal(char32_t c) { return is_digit(c) || (c < 0x80 && (c | 0x20) >= 'a' && (c | 0x20) <= 'f'); }
bool is_inside_tag(char32_t c) { return c != '<' && c != '>'; }
bool is_scheme(char32_t c) { return is_alphanumeric(c) || c == '+' || c == '.' || c == '-'; }
bool is_domain(char32_t c) { return is_alphanumeric(c) || c == '-'; }

bool is_among(char32_t c, std::u32string_view others) { return others.find(c) != std::u32string_view::npos; }
bool is_address(char32_t c) { return is_alphanumeric(c) || is_among(c, U"-._~:/?#[]@!$&'()*+,;=%"); }
bool is_local_part(char32_t c) { return is_alphanumeric(c) || is_among(c, U"._%+-"); }

// The code point at a place, or what no class holds behind the end.
char32_t at(const Text& text, std::size_t place) { return place < text.size() ? text[place] : 0xFFFFFFFF; }

char32_t lower(char32_t c) { return is_letter(c) ? (c | 0x20) : c; }

// Where the run of `belongs` from `begin` on ends, at most `limit` further.
template <typename Belongs>
std::size_t run_end(const Text& text, std::size_t begin, std::size_t limit, Belongs belongs) {
  const std::size_t last = std::min(text.size(), begin + limit);
  while (begin < last && belongs(text[begin])) ++begin;
  return begin;
}

std::size_t find_point(const Text& text, char32_t point, std::size_t from) {
  return static_cast<std::size_t>(
      std::find(text.begin() + static_cast<std::ptrdiff_t>(std::min(from, text.size())), text.end(), point) -
      text.begin());
}

// The end of the match that begins at the first `first` from which `end_at` finds one.
template <typename EndAt>
Match find_from(const Text& text, std::size_t from, char32_t first, EndAt end_at) {
  for (std::size_t begin = find_point(text, first, from); begin < text.size();
       begin = find_point(text, first, begin + 1)) {
    if (const std::size_t end = end_at(text, begin)) return {begin, end};
  }
  return {};
}

// Each class below excludes the character that must follow, so a greedy run is the only one that can match; and a run
// that its limit cuts short fails.
std::size_t entity_end(const Text& text, std::size_t begin) {
  std::size_t first = begin + 1;
  std::size_t end = first;
  if (at(text, first) == '#') {
    ++first;
    if (at(text, first) == 'x' || at(text, first) == 'X') {
      ++first;
      end = run_end(text, first, 6, is_hexadecimal);
    } else {
      end = run_end(text, first, 7, is_digit);
    }
  } else if (is_letter(at(text, first))) {
    ++first;
    end = run_end(text, first, 31, is_alphanumeric);
  }
  return end > first && at(text, end) == ';' ? end + 1 : 0;
}

std::size_t tag_rest_end(const Text& text, std::size_t begin) {
  const std::size_t end = run_end(text, begin, tag_limit, is_inside_tag);
  return at(text, end) == '>' ? end + 1 : 0;
}

// How long the name of a block element is that stands at `begin`, or 0.
std::size_t block_name_size(const Text& text, std::size_t begin) {
  const char32_t second = lower(at(text, begin + 1));
  switch (lower(at(text, begin))) {
    case 'p':
      return 1;
    case 'b':
      return second == 'r' ? 2 : 0;
    case 'd':
      return second == 'i' && lower(at(text, begin + 2)) == 'v' ? 3 : 0;
    case 'l':
      return second == 'i' ? 2 : 0;
    case 't':
      return second == 'r' || second == 'd' || second == 'h' ? 2 : 0;
    case 'h':
      return second >= '1' && second <= '6' ? 2 : 0;
    default:
      return 0;
  }
}

std::size_t block_tag_end(const Text& text, std::size_t begin) {
  const std::size_t name = begin + (at(text, begin + 1) == '/' ? 2 : 1);
  const std::size_t size = block_name_size(text, name);
  if (size == 0) return 0;
  const std::size_t end = name + size;
  if (at(text, end) == '>') return end + 1;
  return at(text, end) == ' ' || at(text, end) == '/' ? tag_rest_end(text, end + 1) : 0;
}

std::size_t tag_end(const Text& text, std::size_t begin) {
  const char32_t first = at(text, begin + 1);
  return is_letter(first) || first == '/' || first == '!' ? tag_rest_end(text, begin + 2) : 0;
}

std::size_t www_end(const Text& text, std::size_t begin) {
  if (at(text, begin + 1) != 'w' || at(text, begin + 2) != 'w' || at(text, begin + 3) != '.') return 0;
  const std::size_t end = run_end(text, begin + 4, address_limit, is_address);
  return end > begin + 4 ? end : 0;
}

// The leftmost letter from which a scheme runs up to `colon`, or `colon` itself.
std::size_t scheme_begin(const Text& text, std::size_t from, std::size_t colon) {
  std::size_t leftmost = colon;
  for (std::size_t begin = colon; begin > from && colon - begin < scheme_limit && is_scheme(text[begin - 1]);) {
    --begin;
    if (is_letter(text[begin]) && colon - begin >= 2) leftmost = begin;
  }
  return leftmost;
}

std::size_t domain_end(const Text& text, std::size_t begin) {
  std::size_t end = run_end(text, begin, domain_label_limit, is_domain);
  if (end == begin) return 0;
  std::size_t labels = 0;
  for (; labels < domain_labels_limit && at(text, end) == '.' && is_domain(at(text, end + 1)); ++labels) {
    end = run_end(text, end + 1, domain_label_limit, is_domain);
  }
  return labels > 0 ? end : 0;
}

}  // namespace

Match find_entity(const Text& text, std::size_t from) { return find_from(text, from, '&', entity_end); }

Match find_block_tag(const Text& text, std::size_t from) { return find_from(text, from, '<', block_tag_end); }

Match find_tag(const Text& text, std::size_t from) { return find_from(text, from, '<', tag_end); }

Match find_www(const Text& text, std::size_t from) { return find_from(text, from, 'w', www_end); }

Match find_url(const Text& text, std::size_t from) {
  // No scheme holds a colon, so matches stand in the order of their colons.
  for (std::size_t colon = find_point(text, ':', from); colon < text.size(); colon = find_point(text, ':', colon + 1)) {
    if (at(text, colon + 1) != '/' || at(text, colon + 2) != '/') continue;
    const std::size_t begin = scheme_begin(text, from, colon);
    // Before the address is walked through: what stands behind a colon without a scheme may be walked through again.
    if (begin == colon) continue;
    const std::size_t end = run_end(text, colon + 3, address_limit, is_address);
    if (end > colon + 3) return {begin, end};
  }
  return {};
}

Match find_email(const Text& text, std::size_t from) {
  for (std::size_t sign = find_point(text, '@', from); sign < text.size(); sign = find_point(text, '@', sign + 1)) {
    std::size_t begin = sign;
    while (begin > from && sign - begin < local_part_limit && is_local_part(text[begin - 1])) --begin;
    const std::size_t end = begin < sign ? domain_end(text, sign + 1) : 0;
    if (end != 0) return {begin, end};
  }
  return {};
}

}  // namespace kuaixun
