#include "ledger.h"

#include <utility>

namespace kuaixun::kafka {

void Ledger::confirm(std::uint64_t batch) {
  const std::lock_guard lock(mutex_);
  ++news_of(batch).confirmed;
}

void Ledger::refuse(std::uint64_t batch, Refusal refusal) {
  const std::lock_guard lock(mutex_);
  news_of(batch).refused.push_back(std::move(refusal));
}

std::vector<News> Ledger::take() {
  const std::lock_guard lock(mutex_);
  return std::exchange(news_, {});
}

// Reports come by the partition, and so in runs of one batch.
News& Ledger::news_of(std::uint64_t batch) {
  if (news_.empty() || news_.back().batch != batch) news_.push_back({batch, 0, {}});
  return news_.back();
}

}  // namespace kuaixun::kafka
