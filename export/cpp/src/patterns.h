// What cannot be said per code point: markup, entities, addresses. The bundle's patterns.json, as
// export/text/patterns.py defines it.
//
// The list of patterns is closed, so each is a scanner of its own here, equal to what Python's `re.sub` does with the
// regular expression. A bundle that carries a pattern which differs from those known, to the letter, is refused.
#pragma once

#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

namespace kuaixun {

using Points = std::vector<char32_t>;

enum class PatternKind { entity, block_tag, tag, url, www, email };

struct Patterns {
  std::vector<PatternKind> kinds;  // in the order they run
  std::unordered_map<std::string, char32_t> entities;
};

// Raises FormatError.
Patterns parse_patterns(std::string_view content);

// Replaces every match of every pattern; `scratch` is overwritten.
void apply_patterns(const Patterns& patterns, Points& text, Points& scratch);

}  // namespace kuaixun
