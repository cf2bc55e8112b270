#include "vocabulary.h"

#include <cstdio>
#include <unordered_set>

#include "lines.h"
#include "utf8.h"

namespace kuaixun {

std::vector<char32_t> parse_vocabulary(std::string_view content) {
  if (!is_utf8(content)) throw FormatError("it is not UTF-8");
  Lines lines(content);
  for (const std::string_view special : {"[PAD]", "[UNK]", "[CLS]"}) {
    if (lines.next() != special) lines.fail("a vocabulary begins with [PAD], [UNK], [CLS]");
  }
  std::vector<char32_t> characters;
  std::unordered_set<char32_t> seen;
  while (const auto line = lines.next()) {
    const std::size_t tab = line->find('\t');
    const std::string_view character = tab == std::string_view::npos ? "" : line->substr(tab + 1);
    auto next = reinterpret_cast<const unsigned char*>(character.data());
    const auto end = next + character.size();
    const char32_t point = next == end ? 0 : decode_one(next, end, Surrogates::replace);
    char named[16];
    std::snprintf(named, sizeof named, "U+%04X", static_cast<unsigned>(point));
    if (character.empty() || next != end || line->substr(0, tab) != named) {
      lines.fail("expected U+XXXX, a tab and that one character");
    }
    if (!seen.insert(point).second) lines.fail("a vocabulary holds each character once");
    characters.push_back(point);
  }
  return characters;
}

}  // namespace kuaixun
