#include "patterns.h"

#include <algorithm>
#include <iterator>

#include "error.h"
#include "json.h"
#include "pattern_scanners.h"
#include "printable.h"
#include "utf8.h"

namespace kuaixun {
namespace {

struct KnownPattern {
  PatternKind kind;
  const char* name;
  const char* guard;
  const char* regex;
  const char* replacement;  // nullptr: the character that the matched entity names
};

#define KUAIXUN_URL_CHARACTERS R"([A-Za-z0-9\-._~:/?#\[\]@!$&'()*+,;=%])"

constexpr KnownPattern known_patterns[] = {
    {PatternKind::entity, "entity", "&", R"(&(?:#[0-9]{1,7}|#[xX][0-9A-Fa-f]{1,6}|[A-Za-z][A-Za-z0-9]{1,31});)",
     nullptr},
    {PatternKind::block_tag, "block_tag", "<",
     R"(</?(?:[bB][rR]|[pP]|[dD][iI][vV]|[lL][iI]|[tT][rRdDhH]|[hH][1-6])(?:[ /][^<>]{0,512})?>)", " "},
    {PatternKind::tag, "tag", "<", R"(<[A-Za-z/!][^<>]{0,512}>)", ""},
    {PatternKind::url, "url", "://", R"([A-Za-z][A-Za-z0-9+.\-]{1,15}://)" KUAIXUN_URL_CHARACTERS "{1,2048}", " "},
    {PatternKind::www, "www", "www.", R"(www\.)" KUAIXUN_URL_CHARACTERS "{1,2048}", " "},
    {PatternKind::email, "email", "@", R"([A-Za-z0-9._%+\-]{1,64}@[A-Za-z0-9\-]{1,63}(?:\.[A-Za-z0-9\-]{1,63}){1,8})",
     " "},
};

#undef KUAIXUN_URL_CHARACTERS

bool is_same(const KnownPattern& known, const Json& json) {
  const Json& replacement = json.at("replacement");
  const bool same_replacement = known.replacement == nullptr
                                    ? replacement.is_null()
                                    : !replacement.is_null() && replacement.string("replacement") == known.replacement;
  return same_replacement && json.at("name").string("name") == known.name &&
         json.at("guard").string("guard") == known.guard && json.at("regex").string("regex") == known.regex;
}

PatternKind parse_kind(const Json& json) {
  json.expect_only({"name", "guard", "regex", "replacement"}, "a pattern");
  const auto found = std::find_if(std::begin(known_patterns), std::end(known_patterns),
                                  [&json](const KnownPattern& known) { return is_same(known, json); });
  if (found == std::end(known_patterns)) {
    throw FormatError("the pattern " + shortened(json.at("name").string("name")) + " is not one of this format's");
  }
  return found->kind;
}

char32_t only_character(const std::string& text) {
  auto next = reinterpret_cast<const unsigned char*>(text.data());
  const auto end = next + text.size();
  const char32_t point = next == end ? 0 : decode_one(next, end, Surrogates::replace);
  if (text.empty() || next != end) throw FormatError("an entity stands for anything but one character");
  return point;
}

// The character that the entity text[begin, end) names, or `dropped_entity`.
constexpr char32_t dropped_entity = 0xFFFFFFFF;

char32_t entity_character(const Patterns& patterns, const Points& text, std::size_t begin, std::size_t end) {
  ++begin;  // &
  --end;    // ;
  if (text[begin] != '#') {
    const auto found = patterns.entities.find(std::string(text.begin() + static_cast<std::ptrdiff_t>(begin),
                                                          text.begin() + static_cast<std::ptrdiff_t>(end)));
    return found == patterns.entities.end() ? dropped_entity : found->second;
  }
  ++begin;
  const bool is_hexadecimal = text[begin] == 'x' || text[begin] == 'X';
  if (is_hexadecimal) ++begin;
  char32_t point = 0;
  for (; begin < end; ++begin) {
    const char32_t digit = text[begin];
    const char32_t value = digit <= '9' ? digit - '0' : (digit | 0x20) - 'a' + 10;
    point = point * (is_hexadecimal ? 16 : 10) + value;
  }
  return point < code_points ? point : dropped_entity;
}

// `re.sub`: the leftmost match from `from` on is replaced, and the search goes on behind it.
template <typename Find>
void substitute(const Patterns& patterns, PatternKind kind, Find find, Points& text, Points& scratch) {
  Match match = find(text, 0);
  if (!match.found()) return;
  scratch.clear();
  std::size_t from = 0;
  const auto place = [&text](std::size_t index) { return text.begin() + static_cast<std::ptrdiff_t>(index); };
  for (; match.found(); match = find(text, from)) {
    scratch.insert(scratch.end(), place(from), place(match.begin));
    if (kind == PatternKind::entity) {
      const char32_t character = entity_character(patterns, text, match.begin, match.end);
      if (character != dropped_entity) scratch.push_back(character);
    } else if (kind != PatternKind::tag) {
      scratch.push_back(' ');
    }
    from = match.end;
  }
  scratch.insert(scratch.end(), place(from), text.end());
  text.swap(scratch);
}

}  // namespace

Patterns parse_patterns(std::string_view content) {
  const Json json = Json::parse(content);
  json.expect_only({"patterns", "entities"}, "the pattern file");
  Patterns patterns;
  for (const Json& pattern : json.at("patterns").array("patterns")) {
    const PatternKind kind = parse_kind(pattern);
    // Or a list as long as its file would run as often on every text.
    if (std::find(patterns.kinds.begin(), patterns.kinds.end(), kind) != patterns.kinds.end()) {
      throw FormatError("the pattern " + shortened(pattern.at("name").string("name")) + " is listed twice");
    }
    patterns.kinds.push_back(kind);
  }
  for (const auto& [name, character] : json.at("entities").object("entities")) {
    patterns.entities.emplace(name, only_character(character.string("an entity")));
  }
  return patterns;
}

void apply_patterns(const Patterns& patterns, Points& text, Points& scratch) {
  for (const PatternKind kind : patterns.kinds) {
    switch (kind) {
      case PatternKind::entity:
        substitute(patterns, kind, find_entity, text, scratch);
        break;
      case PatternKind::block_tag:
        substitute(patterns, kind, find_block_tag, text, scratch);
        break;
      case PatternKind::tag:
        substitute(patterns, kind, find_tag, text, scratch);
        break;
      case PatternKind::url:
        substitute(patterns, kind, find_url, text, scratch);
        break;
      case PatternKind::www:
        substitute(patterns, kind, find_www, text, scratch);
        break;
      case PatternKind::email:
        substitute(patterns, kind, find_email, text, scratch);
        break;
    }
  }
}

}  // namespace kuaixun
