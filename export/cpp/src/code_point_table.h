// What each of the 1,114,112 code points becomes before it is looked up in the vocabulary: the bundle's codepoints.tsv,
// as export/text/folding.py defines it.
#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

namespace kuaixun {

constexpr char32_t dropped = 0xFFFFFFFF;
constexpr char32_t space = 0x20;

// (0x110000,) targets, `dropped` among them, which surrogates are; every other target stays itself. Raises FormatError
// with the line.
std::vector<char32_t> parse_code_point_table(std::string_view content);

}  // namespace kuaixun
