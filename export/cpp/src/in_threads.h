// A range of rows, shared out among threads.
#pragma once

#include <algorithm>
#include <cstddef>
#include <exception>
#include <thread>
#include <vector>

#include "usable_cores.h"

namespace kuaixun {

// Starting a thread costs as much as this many headlines take.
constexpr std::size_t rows_worth_a_thread = 256;

// Calls work(begin, end) for parts that cover [0, count), on up to `threads` threads (0: one for each core that may be
// used), this one among them. Blocks until all are done; raises what one of them raised.
template <typename Work>
void in_threads(std::size_t count, unsigned threads, const Work& work) {
  if (threads == 0) threads = usable_cores();
  const std::size_t parts = std::min<std::size_t>(threads, std::max<std::size_t>(1, count / rows_worth_a_thread));
  if (parts == 1) {
    work(std::size_t{0}, count);
    return;
  }
  std::vector<std::exception_ptr> errors(parts);
  const auto guarded = [&](std::size_t part) {
    try {
      work(count * part / parts, count * (part + 1) / parts);
    } catch (...) {
      errors[part] = std::current_exception();
    }
  };
  std::vector<std::thread> others;
  others.reserve(parts);
  for (std::size_t part = 1; part < parts; ++part) {
    try {
      others.emplace_back(guarded, part);
    } catch (const std::exception&) {
      guarded(part);  // no thread, or no memory for one, to be had: do it here
    }
  }
  guarded(0);
  for (std::thread& other : others) other.join();
  for (const std::exception_ptr& error : errors) {
    if (error) std::rethrow_exception(error);
  }
}

}  // namespace kuaixun
