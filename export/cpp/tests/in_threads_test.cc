#include "in_threads.h"

#include <gtest/gtest.h>

#include <mutex>
#include <set>
#include <stdexcept>
#include <utility>

namespace kuaixun {
namespace {

struct Seen {
  std::set<std::pair<std::size_t, std::size_t>> parts;
  std::set<std::thread::id> threads;
};

Seen seen_of(std::size_t count, unsigned threads) {
  Seen seen;
  std::mutex mutex;
  in_threads(count, threads, [&](std::size_t begin, std::size_t end) {
    const std::lock_guard<std::mutex> lock(mutex);
    seen.parts.emplace(begin, end);
    seen.threads.insert(std::this_thread::get_id());
  });
  return seen;
}

TEST(InThreads, EachPartIsTheWorkOfAThreadOfItsOwn) {
  const Seen seen = seen_of(2000, 3);
  EXPECT_EQ(seen.parts, (std::set<std::pair<std::size_t, std::size_t>>{{0, 666}, {666, 1333}, {1333, 2000}}));
  EXPECT_EQ(seen.threads.size(), 3U);
  EXPECT_EQ(seen.threads.count(std::this_thread::get_id()), 1U);
}

TEST(InThreads, NoThreadIsStartedForLessThanItCosts) {
  EXPECT_EQ(seen_of(2 * rows_worth_a_thread - 1, 8).threads, std::set<std::thread::id>{std::this_thread::get_id()});
  EXPECT_EQ(seen_of(2 * rows_worth_a_thread, 8).threads.size(), 2U);
  EXPECT_EQ(seen_of(0, 8).parts, (std::set<std::pair<std::size_t, std::size_t>>{{0, 0}}));
}

TEST(InThreads, WhatAThreadRaisesIsRaised) {
  EXPECT_THROW(in_threads(1000, 2,
                          [](std::size_t begin, std::size_t) {
                            if (begin > 0) throw std::out_of_range("in the other thread");
                          }),
               std::out_of_range);
}

}  // namespace
}  // namespace kuaixun
