// Text that someone else wrote, made fit to be shown to a person: what export/printable.py does, character by
// character.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace kuaixun {

// What of a stranger's text a message quotes, in characters.
constexpr std::size_t quoted_characters = 40;

// UTF-8 in which nothing steers a terminal or turns what is read: control and format characters, line and paragraph
// separators become \x1b, \u202e, \U000e0001, and bytes that are no UTF-8 \xff.
std::string printable(std::string_view text);

// The beginning of a text, cut between characters.
std::string shortened(std::string_view text, std::size_t characters = quoted_characters);

// The longest beginning of `utf8` that takes no more than that many bytes and ends between characters.
std::string_view whole_characters(std::string_view utf8, std::size_t bytes);

}  // namespace kuaixun
