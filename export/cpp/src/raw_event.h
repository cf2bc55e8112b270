// One raw event as nearly every producer writes it, read in a single pass; see schemas/events.py for what it is.
//
// This reads less than schemas/codec.py does, and nothing otherwise: what it does not know at a glance (a field of the
// producer's own, a time in an unusual form, anything wrong) it leaves to that.
#pragma once

#include <deque>
#include <string>
#include <string_view>

namespace kuaixun {

// A JSON string's text. `verbatim` where that is also how it is written, between the quotes.
struct EventText {
  std::string_view utf8;
  bool verbatim = true;
  bool present = false;
};

// Texts lie in the payload, or in the arena where they had to be unescaped.
struct RawEvent {
  EventText id;
  EventText title;
  EventText body;
  EventText source;
  EventText url;
  EventText published_at;
  EventText language;
};

// Whether `payload` is an event that this knows how to read; `event` is whole only then.
bool read_raw_event(std::string_view payload, RawEvent& event, std::deque<std::string>& arena);

}  // namespace kuaixun
