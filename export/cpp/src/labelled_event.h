// A labelled event as schemas/codec.py writes it, byte for byte.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "raw_event.h"

namespace kuaixun {

// What is the same for all events of a batch; each text is JSON already, quotes included.
struct EventFrame {
  std::vector<std::string> labels;
  std::string model;
  std::string topic;
  std::string received_at;
  std::string labelled_at;
  std::size_t top_scores;
  double confidence_threshold;
};

// One text's answer; `scores` has one for each label.
struct EventAnswer {
  std::int64_t label_id;
  double confidence;
  const double* scores;
};

class LabelledEventWriter {
 public:
  explicit LabelledEventWriter(const EventFrame& frame);

  // Appends the event, or nothing and returns false where the answer has no label, or figures that are no millionths.
  bool append(const RawEvent& event, const EventAnswer& answer, std::int64_t partition, std::int64_t offset,
              std::string& json);

 private:
  bool rank(const EventAnswer& answer);

  std::size_t top_scores_;
  double confidence_threshold_;
  // The text between what differs from event to event, as it stands there.
  std::vector<std::string> label_to_confidence_;
  std::vector<std::string> score_names_;
  std::string scores_to_partition_;
  std::string offset_to_times_;
  std::size_t fixed_size_;  // the most that an event takes but for its own texts
  // Of the event at hand, as many as are told: the labels by rank, and their scores.
  std::vector<std::size_t> order_;
  std::vector<int> millionths_;
};

}  // namespace kuaixun
