#include "labelled_event.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <utility>

#include "json_text.h"

namespace kuaixun {
namespace {

constexpr double millionth = 1e6;

// The figure in millionths, or -1 where it is none of 0 to 1.
int in_millionths(double figure) {
  if (!(figure >= 0.0 && figure <= 1.0) || std::signbit(figure)) return -1;
  const int count = static_cast<int>(std::lrint(figure * millionth));
  return count / millionth == figure ? count : -1;
}

void append_integer(std::int64_t number, std::string& json) {
  char buffer[24];
  json.append(buffer, std::to_chars(buffer, buffer + sizeof buffer, number).ptr);
}

void append_text(const EventText& text, std::string& json) {
  if (text.verbatim) {
    json.append(1, '"').append(text.utf8).append(1, '"');
  } else {
    append_json_string(text.utf8, json);
  }
}

void append_optional(const char* name, const EventText& text, std::string& json) {
  if (text.utf8.data() == nullptr) return;
  json.append(name);
  append_text(text, json);
}

}  // namespace

LabelledEventWriter::LabelledEventWriter(EventFrame frame)
    : frame_(std::move(frame)), millionths_(frame_.labels.size()) {
  frame_.top_scores = std::min(frame_.top_scores, frame_.labels.size());
  order_.reserve(frame_.labels.size());
}

// The likeliest first; of equals the label itself, then the one that comes first in the bundle. Few are wanted, so
// each is put in its place among those so far.
bool LabelledEventWriter::rank(const EventAnswer& answer) {
  const std::size_t classes = frame_.labels.size();
  if (answer.label_id < 0 || static_cast<std::size_t>(answer.label_id) >= classes) return false;
  const auto first = static_cast<std::size_t>(answer.label_id);
  order_.clear();
  order_.push_back(first);
  for (std::size_t label = 0; label < classes; ++label) {
    const double score = answer.scores[label];
    if (label == first || (order_.size() == frame_.top_scores && !(score > answer.scores[order_.back()]))) continue;
    if (order_.size() == frame_.top_scores) {
      if (order_.size() == 1) continue;
      order_.pop_back();
    }
    std::size_t place = order_.size();
    while (place > 1 && score > answer.scores[order_[place - 1]]) --place;
    order_.insert(order_.begin() + static_cast<std::ptrdiff_t>(place), label);
  }
  for (std::size_t place = 0; place < order_.size(); ++place) {
    millionths_[place] = in_millionths(answer.scores[order_[place]]);
    if (millionths_[place] < 0) return false;
  }
  return true;
}

bool LabelledEventWriter::append(const RawEvent& event, const EventAnswer& answer, std::int64_t partition,
                                 std::int64_t offset, std::string& json) {
  const int confidence = in_millionths(answer.confidence);
  if (confidence < 0 || !rank(answer)) return false;
  json.append("{\"id\":");
  append_text(event.id, json);
  json.append(",\"title\":");
  append_text(event.title, json);
  json.append(",\"label\":").append(frame_.labels[order_[0]]).append(",\"confidence\":");
  append_json_millionths(confidence, json);
  json.append(",\"scores\":");
  char separator = '{';
  for (std::size_t place = 0; place < frame_.top_scores; ++place) {
    json.append(1, separator).append(frame_.labels[order_[place]]).append(1, ':');
    append_json_millionths(millionths_[place], json);
    separator = ',';
  }
  json.append("},\"model\":").append(frame_.model).append(",\"origin\":{\"topic\":").append(frame_.topic);
  json.append(",\"partition\":");
  append_integer(partition, json);
  json.append(",\"offset\":");
  append_integer(offset, json);
  json.append("},\"received_at\":").append(frame_.received_at).append(",\"labelled_at\":").append(frame_.labelled_at);
  if (answer.confidence < frame_.confidence_threshold) json.append(",\"abstained\":true");
  append_optional(",\"published_at\":", event.published_at, json);
  append_optional(",\"source\":", event.source, json);
  append_optional(",\"url\":", event.url, json);
  append_optional(",\"language\":", event.language, json);
  json.push_back('}');
  return true;
}

}  // namespace kuaixun
