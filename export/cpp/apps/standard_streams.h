// Standard input by line and standard output, each waited for where it does not block.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

namespace kuaixun_apps {

// Lines as they arrive. A line ends at a newline byte and nowhere else; a last one without it counts. What the pipeline
// would not read of a long line is not kept.
class ArrivingLines {
 public:
  ArrivingLines(std::size_t limit_bytes, std::size_t wanted);

  // Whole lines: what one read brought to an end, and where more input is there already, what further ones do, until
  // there are as many as wanted. Nothing at the end of the input. They last until the next call.
  // Raises kuaixun::Error (usage).
  std::vector<std::string_view> next();

 private:
  void split(std::string_view block);
  // Ends the line that is pending with its last part.
  void finish(std::string_view rest);

  std::size_t limit_bytes_;
  std::size_t wanted_;
  std::string block_;
  std::string pending_;            // at most limit_bytes_ of a line that has not ended
  std::string finished_;           // the lines that have, one after the other
  std::vector<std::size_t> ends_;  // of each of them
  bool ended_ = false;
};

// Writes all of it to standard output; false where the reader went away. Raises kuaixun::Error (usage).
bool write_out(std::string_view text);

}  // namespace kuaixun_apps
