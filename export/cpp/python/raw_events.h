// A batch of raw events between Python's bytes: what was read of them, and the labelled events that come of it.
#pragma once

#include <nanobind/nanobind.h>
#include <nanobind/ndarray.h>

#include <cstddef>
#include <cstdint>
#include <deque>
#include <string>
#include <string_view>
#include <vector>

#include "raw_event.h"

namespace kuaixun {

// Keeps the payloads that its texts lie in.
class RawEvents {
 public:
  using Integers = nanobind::ndarray<const std::int64_t, nanobind::ndim<1>, nanobind::c_contig, nanobind::device::cpu>;
  using Figures = nanobind::ndarray<const double, nanobind::ndim<1>, nanobind::c_contig, nanobind::device::cpu>;
  using Table = nanobind::ndarray<const double, nanobind::ndim<2>, nanobind::c_contig, nanobind::device::cpu>;

  explicit RawEvents(nanobind::list payloads);

  // Of those that were read, in order.
  const std::vector<std::string_view>& titles() const { return titles_; }
  nanobind::object title(std::ptrdiff_t index) const;

  // As many as payloads: the event in JSON, or None where the payload was not read or LabelledEventWriter writes none.
  nanobind::list labelled(const Integers& label_ids, const Figures& confidences, const Table& scores,
                          const nanobind::list& partitions, const nanobind::list& offsets,
                          const nanobind::tuple& labels, const nanobind::bytes& model, const nanobind::bytes& topic,
                          const nanobind::bytes& received_at, const nanobind::bytes& labelled_at,
                          std::size_t top_scores, double confidence_threshold) const;

 private:
  nanobind::list payloads_;
  std::vector<RawEvent> events_;
  std::vector<std::size_t> places_;  // of the events among the payloads
  std::vector<std::string_view> titles_;
  std::deque<std::string> arena_;
};

void bind_raw_events(nanobind::module_& module);

}  // namespace kuaixun
