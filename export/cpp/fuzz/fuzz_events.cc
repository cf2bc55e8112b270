// Any bytes as a raw event, and any figures as its answer: what is read lies in the payload or beside it, and what is
// written is one JSON object in UTF-8, behind what stood there before.
//
// The first four bytes choose the answer (see check_written), the rest are the payload.

#include <cmath>
#include <cstdint>
#include <cstdlib>
#include <deque>
#include <limits>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "json.h"
#include "labelled_event.h"
#include "raw_event.h"
#include "utf8.h"
#include "work.h"

namespace {

constexpr std::size_t chosen = 4;
constexpr std::string_view before = "what stood there";

// All of one length, so that the room which is made for an event is hardly more than one with everything takes.
const std::vector<std::string>& labels() {
  static const std::vector<std::string> texts = {"\"sports\"", "\"\\u4e2d\"", "\"realty\"", "\"stocks\""};
  return texts;
}

const kuaixun::EventText kuaixun::RawEvent::*const texts[] = {
    &kuaixun::RawEvent::id,  &kuaixun::RawEvent::title,        &kuaixun::RawEvent::body,    &kuaixun::RawEvent::source,
    &kuaixun::RawEvent::url, &kuaixun::RawEvent::published_at, &kuaixun::RawEvent::language};

double figure(std::uint8_t kind) {
  constexpr double last[] = {-0.0, -1.0, 1.0000001, 0.1234567, 1e300};
  if (kind < 200) return kind * 5025 / 1e6;  // 0 to 0.999975
  if (kind < 245) return (kind - 200) / 1e6;
  if (kind < 250) return last[kind - 245];
  return kind == 250 ? 1.0 : kind == 251 ? std::nan("") : std::numeric_limits<double>::infinity();
}

bool lies_in(std::string_view text, std::string_view whole) {
  return text.empty() || (text.data() >= whole.data() && text.data() + text.size() <= whole.data() + whole.size());
}

void check_read(const kuaixun::RawEvent& event, std::string_view payload, const std::deque<std::string>& arena) {
  for (const auto text : texts) {
    const kuaixun::EventText& found = event.*text;
    bool lies = lies_in(found.utf8, payload);
    for (const std::string& unescaped : arena) lies = lies || lies_in(found.utf8, unescaped);
    if (!lies || !kuaixun::is_utf8(found.utf8)) std::abort();
  }
  if (event.id.utf8.empty()) std::abort();
}

void check_written(const kuaixun::RawEvent& event, const std::uint8_t* choice) {
  kuaixun::EventFrame frame;
  frame.labels = labels();
  frame.model = frame.topic = frame.received_at = frame.labelled_at = "\"x\"";
  frame.top_scores = choice[1] % 6;
  frame.confidence_threshold = 0.5;
  std::vector<double> scores;
  for (std::size_t label = 0; label < labels().size(); ++label) {
    scores.push_back(figure(static_cast<std::uint8_t>(choice[2] + label * choice[3])));
  }
  const std::int64_t label_id = static_cast<std::int64_t>(choice[0] % 8) - 2;
  const bool is_label = label_id >= 0 && label_id < static_cast<std::int64_t>(labels().size());
  const double confidence = is_label ? scores[static_cast<std::size_t>(label_id)] : 0.0;
  const std::int64_t place = choice[0] < 128 ? choice[0] : std::numeric_limits<std::int64_t>::min() + choice[0];
  kuaixun::LabelledEventWriter writer(frame);
  std::string json(before);
  const bool is_written = writer.append(event, {label_id, confidence, scores.data()}, place, place, json);
  if (std::string_view(json).substr(0, before.size()) != before) std::abort();
  const std::string_view written = std::string_view(json).substr(before.size());
  if (is_written != !written.empty() || (is_written && !is_label)) std::abort();
  if (!is_written) return;
  // A figure or a text that is not as it should be is no JSON, and the strict reader raises what ends this process.
  const kuaixun::Json parsed = kuaixun::Json::parse(written);
  if (parsed.at("id").string("id") != event.id.utf8 || parsed.at("title").string("title") != event.title.utf8) {
    std::abort();
  }
  if (parsed.at("confidence").real("confidence") != confidence) std::abort();
  if (parsed.at("origin").at("offset").integer("offset") != place) std::abort();
  if (parsed.at("scores").object("scores").size() > frame.top_scores) std::abort();
  const kuaixun::Json* const source = parsed.find("source");
  if ((source != nullptr) != (event.source.utf8.data() != nullptr)) std::abort();
  if (source != nullptr && source->string("source") != event.source.utf8) std::abort();
}

}  // namespace

// One pass over the payload, and one over what is written of it.
std::uint64_t kuaixun_fuzz::most_edges(const std::uint8_t*, std::size_t size) { return 20'000 + 1'500 * size; }

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size < chosen) return 0;
  // A copy of its own size, so that a byte beyond it is seen.
  const std::size_t length = size - chosen;
  const std::unique_ptr<char[]> copy(new char[length]);
  for (std::size_t i = 0; i < length; ++i) copy[i] = static_cast<char>(data[chosen + i]);
  const std::string_view payload(copy.get(), length);
  std::deque<std::string> arena;
  kuaixun::RawEvent event;
  if (!kuaixun::read_raw_event(payload, event, arena)) return 0;
  check_read(event, payload, arena);
  check_written(event, data);
  return 0;
}
