// A batch of messages from Python's lists to the client in one call, and what is reported of it in another.
#pragma once

#include <nanobind/nanobind.h>

#include <cstddef>
#include <cstdint>
#include <string>
#include <unordered_map>
#include <utility>

#include "plugin.h"

namespace kuaixun::kafka {

// Shares the client of a Python producer.
class BatchProducer {
 public:
  // Throws std::invalid_argument where that was made without this plugin, or is shared already.
  explicit BatchProducer(nanobind::object producer);
  ~BatchProducer();
  BatchProducer(const BatchProducer&) = delete;
  BatchProducer& operator=(const BatchProducer&) = delete;

  // Hands over messages in order, up to the first that is not taken. Returns the batch's number and how many were.
  std::pair<std::uint64_t, std::size_t> produce(const nanobind::list& topics, const nanobind::list& partitions,
                                                const nanobind::list& keys, const nanobind::list& values,
                                                const nanobind::list& headers, const nanobind::list& timestamps_ms);

  // See Ledger::take: tuples of a batch's number, how many of its messages are confirmed, and of each that is refused
  // its row, the error's code and its words.
  nanobind::list reports();

 private:
  Topic* topic_of(const std::string& name);

  nanobind::object producer_;  // keeps the client
  Adopted adopted_;
  std::unordered_map<std::string, Topic*> topics_;
};

}  // namespace kuaixun::kafka
