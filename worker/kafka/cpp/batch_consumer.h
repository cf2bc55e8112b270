// Messages of a consumer to Python's lists, a batch in one call.
#pragma once

#include <nanobind/nanobind.h>

#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <map>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

#include "plugin.h"

namespace kuaixun::kafka {

// Told of by the client's own threads, and waited for by one that reads.
class Stir {
 public:
  void notify();
  // Until something has been told of since the last wait, or the time is over. Negative and no time: not at all.
  void wait(double seconds);

 private:
  std::mutex mutex_;
  std::condition_variable condition_;
  bool is_due_ = false;
};

// Shares the client of a Python consumer. What it diverts comes here and not there, by a queue of its own (librdkafka
// keeps one for each partition, which an application may forward as it likes); all else, callbacks and rebalances above
// all, stays the Python consumer's to serve. What comes here is polled as events: an error that served the
// application's callback would call the Python client outside of its own calls, which that does not survive.
// For one thread at a time.
class BatchConsumer {
 public:
  // Throws std::invalid_argument where that was made without this plugin, or is shared already.
  explicit BatchConsumer(nanobind::object consumer);
  ~BatchConsumer();
  BatchConsumer(const BatchConsumer&) = delete;
  BatchConsumer& operator=(const BatchConsumer&) = delete;

  // From here on messages of this partition come here, from wherever the client is told to read it, and each once.
  // Before it is assigned, for what is fetched sooner does not; and before the client goes back in it.
  void divert(const std::string& topic, std::int32_t partition);

  // The partition is not ours any more; what waits of it is dropped by the client, as what it has revoked. Before it is
  // given up: a queue that goes while it is forwarded takes all that waits in ours with it.
  void let_go(const std::string& topic, std::int32_t partition);

  // Up to `limit` messages. Where none is there, waits for one, or for what the Python consumer has to serve. Returns
  // the columns of a batch in the order of Python's Records, and errors in place of messages: tuples of topic,
  // partition, offset, the error's code and its words.
  nanobind::tuple consume(std::size_t limit, double timeout_seconds);

  // Before the Python consumer's own `close`, and lets go of it. Reads nothing from here on.
  void close();

  // For the garbage collector: the consumer knows, by its callbacks, whoever reads with it.
  const nanobind::object& consumer() const { return consumer_; }

 private:
  struct Diverted {
    Queue* queue = nullptr;
    std::int64_t next = 0;  // the least offset that has not been taken yet
  };
  struct Taken {
    Event* event;
    const Message* message;  // null of an error
  };

  std::size_t take(std::size_t limit);
  bool is_new(const Message* message);

  nanobind::object consumer_;  // keeps the client
  Client* client_;
  Stir stir_;
  Queue* own_ = nullptr;
  Queue* callbacks_ = nullptr;
  std::map<std::pair<std::string, std::int32_t>, Diverted> diverted_;
  Topic* last_topic_ = nullptr;  // of the message taken last, with its partition and that one's place in the map
  std::int32_t last_partition_ = 0;
  Diverted* last_ = nullptr;
  std::vector<Taken> taken_;
};

}  // namespace kuaixun::kafka
