#include "utf8.h"

namespace kuaixun {

void decode(std::string_view text, Surrogates surrogates, std::size_t limit, std::vector<char32_t>& points) {
  auto next = reinterpret_cast<const unsigned char*>(text.data());
  const auto end = next + text.size();
  while (next != end && limit > 0) {
    points.push_back(decode_one(next, end, surrogates));
    --limit;
  }
}

bool is_utf8(std::string_view text) {
  auto next = reinterpret_cast<const unsigned char*>(text.data());
  const auto end = next + text.size();
  while (next != end) {
    const auto start = next;
    // U+FFFD itself is three bytes; what stands for an error never is EF BF BD.
    if (decode_one(next, end, Surrogates::replace) == replacement_character &&
        !(next - start == 3 && start[0] == 0xEF && start[1] == 0xBF && start[2] == 0xBD)) {
      return false;
    }
  }
  return true;
}

void append_utf8(char32_t point, std::string& text) {
  const auto put = [&text](char32_t byte) { text.push_back(static_cast<char>(byte)); };
  if (point < 0x80) {
    put(point);
  } else if (point < 0x800) {
    put(0xC0 | point >> 6);
    put(0x80 | (point & 0x3F));
  } else if (point < 0x10000) {
    put(0xE0 | point >> 12);
    put(0x80 | (point >> 6 & 0x3F));
    put(0x80 | (point & 0x3F));
  } else {
    put(0xF0 | point >> 18);
    put(0x80 | (point >> 12 & 0x3F));
    put(0x80 | (point >> 6 & 0x3F));
    put(0x80 | (point & 0x3F));
  }
}

}  // namespace kuaixun
