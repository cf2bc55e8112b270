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

// Keeps the payloads that its texts lie in. `read` and `write` are for any thread, the interpreter free meanwhile; what
// is made of Python's objects stands before and after.
class RawEvents {
 public:
  using Integers = nanobind::ndarray<const std::int64_t, nanobind::ndim<1>, nanobind::c_contig, nanobind::device::cpu>;
  using Figures = nanobind::ndarray<const double, nanobind::ndim<1>, nanobind::c_contig, nanobind::device::cpu>;
  using Table = nanobind::ndarray<const double, nanobind::ndim<2>, nanobind::c_contig, nanobind::device::cpu>;

  // The payloads' places on their topic, as many as they are.
  RawEvents(nanobind::list payloads, const nanobind::list& partitions, const nanobind::list& offsets);

  // What is of the usual form.
  void read();

  // Of those that were read, in order.
  const std::vector<std::string_view>& titles() const { return titles_; }
  nanobind::object title(std::ptrdiff_t index) const;
  nanobind::list titles_of(const nanobind::slice& slice) const;

  // The labelled events in JSON.
  void write(const Integers& label_ids, const Figures& confidences, const Table& scores, const nanobind::tuple& labels,
             const nanobind::bytes& model, const nanobind::bytes& topic, const nanobind::bytes& received_at,
             const nanobind::bytes& labelled_at, std::size_t top_scores, double confidence_threshold);

  // As many as payloads: what was written, or None where the payload was not read or LabelledEventWriter writes none.
  nanobind::list values() const;

 private:
  nanobind::list payloads_;
  std::vector<std::string_view> views_;  // of the payloads
  std::vector<std::int64_t> partitions_;
  std::vector<std::int64_t> offsets_;
  std::vector<RawEvent> events_;
  std::vector<std::size_t> places_;  // of the events among the payloads
  std::vector<std::string_view> titles_;
  std::deque<std::string> arena_;
  std::string json_;
  std::vector<std::size_t> ends_;  // in it, of each event
};

void bind_raw_events(nanobind::module_& module);

}  // namespace kuaixun
