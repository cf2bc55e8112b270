// Which characters have a token id of their own: the bundle's vocabulary.tsv, as export/text/vocabulary.py defines it.
#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

namespace kuaixun {

constexpr std::int32_t pad_id = 0;
constexpr std::int32_t unknown_id = 1;
constexpr std::int32_t cls_id = 2;
constexpr std::size_t special_ids = 3;

// The characters from id 3 on, in order. Raises FormatError with the line.
std::vector<char32_t> parse_vocabulary(std::string_view content);

}  // namespace kuaixun
