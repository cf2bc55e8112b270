// One scanner for each pattern of the format. Each finds what Python's `re` finds: the leftmost match at or after
// `from`, with greedy bounded repeats. None looks at a code point more often than a small constant number of times for
// each place where a match could begin; repeats are bounded by the format.
#pragma once

#include <cstddef>
#include <vector>

namespace kuaixun {

struct Match {
  std::size_t begin = 0;
  std::size_t end = 0;  // no match is empty, so 0 says that there is none
  bool found() const { return end != 0; }
};

Match find_entity(const std::vector<char32_t>& text, std::size_t from);
Match find_block_tag(const std::vector<char32_t>& text, std::size_t from);
Match find_tag(const std::vector<char32_t>& text, std::size_t from);
Match find_url(const std::vector<char32_t>& text, std::size_t from);
Match find_www(const std::vector<char32_t>& text, std::size_t from);
Match find_email(const std::vector<char32_t>& text, std::size_t from);

}  // namespace kuaixun
