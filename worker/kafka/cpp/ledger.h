// What the brokers have confirmed and refused of batches, noted as it comes and told when somebody asks.
#pragma once

#include <cstdint>
#include <mutex>
#include <string>
#include <vector>

#include "librdkafka.h"

namespace kuaixun::kafka {

struct Refusal {
  std::uint32_t row;
  ErrorCode error;
  std::string said;
};

struct News {
  std::uint64_t batch;
  std::uint32_t confirmed;
  std::vector<Refusal> refused;
};

// For any thread: reports come in the client's own.
class Ledger {
 public:
  void confirm(std::uint64_t batch);
  void refuse(std::uint64_t batch, Refusal refusal);

  // What has come since the last time. A batch may be in it more than once.
  std::vector<News> take();

 private:
  News& news_of(std::uint64_t batch);

  std::mutex mutex_;
  std::vector<News> news_;
};

}  // namespace kuaixun::kafka
