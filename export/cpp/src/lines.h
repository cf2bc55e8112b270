// Text files by line: split at newlines alone, as other line breaks may stand in a vocabulary.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "error.h"

namespace kuaixun {

class Lines {
 public:
  explicit Lines(std::string_view content) : rest_(content) {}

  // The next line without its newline, or nothing where the content ends; a last newline begins no further line.
  std::optional<std::string_view> next() {
    if (rest_.empty()) return std::nullopt;
    const std::size_t end = rest_.find('\n');
    const std::string_view line = rest_.substr(0, end);
    rest_.remove_prefix(end == std::string_view::npos ? rest_.size() : end + 1);
    ++number_;
    return line;
  }

  [[noreturn]] void fail(const std::string& reason) const {
    throw FormatError("line " + std::to_string(number_) + ": " + reason);
  }

 private:
  std::string_view rest_;
  std::size_t number_ = 0;
};

}  // namespace kuaixun
