#include "labelled_event.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstring>
#include <string_view>

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

constexpr std::size_t max_integer_size = 20;

char* write(std::string_view text, char* place) {
  std::memcpy(place, text.data(), text.size());
  return place + text.size();
}

char* write_integer(std::int64_t number, char* place) {
  return std::to_chars(place, place + max_integer_size, number).ptr;
}

// What of a raw event stands after all else, where it has it.
struct OptionalField {
  std::string_view name;
  EventText RawEvent::*text;
};

constexpr OptionalField optional_fields[] = {
    {",\"published_at\":", &RawEvent::published_at},
    {",\"source\":", &RawEvent::source},
    {",\"url\":", &RawEvent::url},
    {",\"language\":", &RawEvent::language},
};
constexpr std::string_view begin_to_id = "{\"id\":";
constexpr std::string_view id_to_title = ",\"title\":";
constexpr std::string_view confidence_to_scores = ",\"scores\":{";
constexpr std::string_view partition_to_offset = ",\"offset\":";
constexpr std::string_view abstained = ",\"abstained\":true";

// A byte of a text takes six at most, as \u0000.
std::size_t most_of(const EventText& text) { return 2 + text.utf8.size() * (text.verbatim ? 1 : 6); }

char* write_text(const EventText& text, char* place) {
  if (!text.verbatim) {
    std::string json;
    append_json_string(text.utf8, json);
    return write(json, place);
  }
  *place++ = '"';
  place = write(text.utf8, place);
  *place++ = '"';
  return place;
}

}  // namespace

LabelledEventWriter::LabelledEventWriter(const EventFrame& frame)
    : top_scores_(std::min(frame.top_scores, frame.labels.size())),
      confidence_threshold_(frame.confidence_threshold),
      scores_to_partition_("},\"model\":" + frame.model + ",\"origin\":{\"topic\":" + frame.topic + ",\"partition\":"),
      offset_to_times_("},\"received_at\":" + frame.received_at + ",\"labelled_at\":" + frame.labelled_at),
      order_(std::max<std::size_t>(top_scores_, 1)),
      millionths_(top_scores_) {
  std::size_t longest = 0;
  std::size_t longest_score = 0;
  for (const std::string& label : frame.labels) {
    label_to_confidence_.push_back(",\"label\":" + label + ",\"confidence\":");
    score_names_.push_back(label + ':');
    longest = std::max(longest, label_to_confidence_.back().size());
    longest_score = std::max(longest_score, score_names_.back().size());
  }
  fixed_size_ = begin_to_id.size() + id_to_title.size() + longest + max_millionths_size + confidence_to_scores.size() +
                top_scores_ * (longest_score + max_millionths_size + 1) + scores_to_partition_.size() +
                partition_to_offset.size() + offset_to_times_.size() + abstained.size() + 2 * max_integer_size + 1;
  for (const OptionalField& field : optional_fields) fixed_size_ += field.name.size();
}

// The likeliest first; of equals the label itself, then the one that comes first in the bundle. Few are wanted, so
// each is put in its place among those so far.
bool LabelledEventWriter::rank(const EventAnswer& answer) {
  const std::size_t classes = score_names_.size();
  if (answer.label_id < 0 || static_cast<std::size_t>(answer.label_id) >= classes) return false;
  const auto first = static_cast<std::size_t>(answer.label_id);
  std::size_t* const order = order_.data();
  order[0] = first;
  std::size_t ranked = 1;
  for (std::size_t label = 0; label < classes; ++label) {
    const double score = answer.scores[label];
    if (label == first || (ranked == order_.size() && !(score > answer.scores[order[ranked - 1]]))) continue;
    // What is ranked last makes way where there is no room for more; the label itself stays.
    if (ranked < order_.size()) ++ranked;
    std::size_t place = ranked - 1;
    if (place == 0) continue;
    for (; place > 1 && score > answer.scores[order[place - 1]]; --place) order[place] = order[place - 1];
    order[place] = label;
  }
  for (std::size_t place = 0; place < top_scores_; ++place) {
    millionths_[place] = in_millionths(answer.scores[order_[place]]);
    if (millionths_[place] < 0) return false;
  }
  return true;
}

bool LabelledEventWriter::append(const RawEvent& event, const EventAnswer& answer, std::int64_t partition,
                                 std::int64_t offset, std::string& json) {
  const int confidence = in_millionths(answer.confidence);
  if (confidence < 0 || !rank(answer)) return false;
  // Room for the most it may take, so that no piece asks for its own.
  const std::size_t begin = json.size();
  std::size_t most = fixed_size_ + most_of(event.id) + most_of(event.title);
  for (const OptionalField& field : optional_fields) most += most_of(event.*field.text);
  json.resize(begin + most);
  char* place = json.data() + begin;
  place = write(begin_to_id, place);
  place = write_text(event.id, place);
  place = write(id_to_title, place);
  place = write_text(event.title, place);
  place = write(label_to_confidence_[order_[0]], place);
  place = write_json_millionths(confidence, place);
  place = write(confidence_to_scores, place);
  for (std::size_t rank = 0; rank < top_scores_; ++rank) {
    if (rank > 0) *place++ = ',';
    place = write(score_names_[order_[rank]], place);
    place = write_json_millionths(millionths_[rank], place);
  }
  place = write(scores_to_partition_, place);
  place = write_integer(partition, place);
  place = write(partition_to_offset, place);
  place = write_integer(offset, place);
  place = write(offset_to_times_, place);
  if (answer.confidence < confidence_threshold_) place = write(abstained, place);
  for (const OptionalField& field : optional_fields) {
    const EventText& text = event.*field.text;
    if (text.utf8.data() == nullptr) continue;
    place = write(field.name, place);
    place = write_text(text, place);
  }
  *place++ = '}';
  json.resize(static_cast<std::size_t>(place - json.data()));
  return true;
}

}  // namespace kuaixun
