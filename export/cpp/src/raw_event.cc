#include "raw_event.h"

#include <cstdint>
#include <cstring>

#include "utf8.h"

namespace kuaixun {
namespace {

bool is_plain(unsigned char byte) { return byte >= 0x20 && byte < 0x80 && byte != '"' && byte != '\\'; }

bool is_digit(char character) { return character >= '0' && character <= '9'; }

int two_digits(const char* text) { return (text[0] - '0') * 10 + (text[1] - '0'); }

// RFC 3339 in the one form that msgspec writes: 2026-05-06T09:30:00[.123456](Z|+08:00). What else it reads it writes
// in this form, which is then another text.
bool is_written_time(std::string_view text) {
  static constexpr std::string_view form = "dddd-dd-ddTdd:dd:dd";
  static constexpr std::string_view zone_form = "+dd:dd";
  static constexpr int days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
  const auto matches = [](std::string_view part, std::string_view like) {
    for (std::size_t place = 0; place < like.size(); ++place) {
      if (like[place] == 'd' ? !is_digit(part[place]) : like[place] != part[place]) return false;
    }
    return true;
  };
  if (text.size() < form.size() + 1 || !matches(text, form)) return false;
  const char* const at = text.data();
  const int year = two_digits(at) * 100 + two_digits(at + 2);
  const int month = two_digits(at + 5);
  const int day = two_digits(at + 8);
  // Near the first and the last year an offset leads out of what a time can be.
  if (year < 1000 || year > 9998 || month < 1 || month > 12 || day < 1) return false;
  const bool leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
  if (day > days[month - 1] + (month == 2 && leap ? 1 : 0)) return false;
  if (two_digits(at + 11) > 23 || two_digits(at + 14) > 59 || two_digits(at + 17) > 59) return false;
  text.remove_prefix(form.size());
  if (text[0] == '.') {
    if (text.size() < 8 || !matches(text, ".dddddd") || text.substr(1, 6) == "000000") return false;
    text.remove_prefix(7);
  }
  if (text == "Z") return true;
  if (text.size() != zone_form.size() || (text[0] != '+' && text[0] != '-') ||
      !matches(text.substr(1), zone_form.substr(1))) {
    return false;
  }
  return two_digits(text.data() + 1) < 24 && two_digits(text.data() + 4) < 60 && text.substr(1) != "00:00";
}

class EventReader {
 public:
  EventReader(std::string_view payload, std::deque<std::string>& arena)
      : next_(reinterpret_cast<const unsigned char*>(payload.data())), end_(next_ + payload.size()), arena_(arena) {}

  bool read(RawEvent& event) {
    if (!take('{')) return false;
    do {
      EventText name;
      EventText value;
      if (!read_string(name) || !name.verbatim || !take(':')) return false;
      EventText* const field = field_of(event, name.utf8);
      if (field == nullptr || field->present) return false;
      if (take_null()) {
        if (field == &event.id || field == &event.title) return false;
      } else if (!read_string(value)) {
        return false;
      }
      *field = value;
      field->present = true;
    } while (take(','));
    if (!take('}')) return false;
    skip_space();
    if (next_ != end_ || !event.id.present || event.id.utf8.empty() || !event.title.present) return false;
    return event.published_at.utf8.data() == nullptr || is_written_time(event.published_at.utf8);
  }

 private:
  static EventText* field_of(RawEvent& event, std::string_view name) {
    if (name == "id") return &event.id;
    if (name == "title") return &event.title;
    if (name == "source") return &event.source;
    if (name == "url") return &event.url;
    if (name == "published_at") return &event.published_at;
    if (name == "language") return &event.language;
    if (name == "body") return &event.body;
    return nullptr;
  }

  void skip_space() {
    while (next_ != end_ && (*next_ == ' ' || *next_ == '\n' || *next_ == '\r' || *next_ == '\t')) ++next_;
  }

  bool take(char character) {
    skip_space();
    if (next_ == end_ || *next_ != static_cast<unsigned char>(character)) return false;
    ++next_;
    return true;
  }

  bool take_null() {
    static constexpr std::string_view null = "null";
    skip_space();
    if (static_cast<std::size_t>(end_ - next_) < null.size()) return false;
    if (std::string_view(reinterpret_cast<const char*>(next_), null.size()) != null) return false;
    next_ += null.size();
    return true;
  }

  bool read_string(EventText& text) {
    if (!take('"')) return false;
    const unsigned char* const begin = next_;
    if (!skip_plain()) return false;
    if (*next_ == '"') {
      text.utf8 = {reinterpret_cast<const char*>(begin), static_cast<std::size_t>(next_ - begin)};
      ++next_;
      return true;
    }
    return read_escaped(begin, text);
  }

  // To the next quote or backslash; false where the text ends before, or is not UTF-8, or has a control character.
  bool skip_plain() {
    const unsigned char* at = next_;
    const unsigned char* const end = end_;
    while (true) {
      while (end - at >= 8 && are_plain(at)) at += 8;
      while (at != end && is_plain(*at)) ++at;
      // Where nearly all of Chinese lies: any two bytes that continue it make a character.
      while (end - at > 2 && at[0] > 0xE0 && at[0] < 0xED && (at[1] & 0xC0) == 0x80 && (at[2] & 0xC0) == 0x80) at += 3;
      if (at == end || *at < 0x20) return false;
      if (*at == '"' || *at == '\\') break;
      // U+FFFD itself is fine, and left to others like what is replaced by it.
      if (*at >= 0x80 && decode_one(at, end, Surrogates::replace) == replacement_character) return false;
    }
    next_ = at;
    return true;
  }

  // Whether eight bytes are ASCII, none of them a quote, a backslash or a control character.
  static bool are_plain(const unsigned char* eight) {
    constexpr std::uint64_t each = 0x0101010101010101;
    constexpr std::uint64_t high = 0x80 * each;
    std::uint64_t bytes = 0;
    std::memcpy(&bytes, eight, sizeof bytes);
    // The high bit of a byte tells that it is zero, or below 0x20; in one above such a byte it may tell too much.
    const auto zeros = [](std::uint64_t word) { return (word - each) & ~word; };
    const std::uint64_t special =
        bytes | (bytes - 0x20 * each) | zeros(bytes ^ ('"' * each)) | zeros(bytes ^ ('\\' * each));
    return (special & high) == 0;
  }

  bool read_escaped(const unsigned char* begin, EventText& text) {
    std::string& unescaped = arena_.emplace_back();
    while (true) {
      unescaped.append(reinterpret_cast<const char*>(begin), static_cast<std::size_t>(next_ - begin));
      if (*next_++ == '"') break;
      if (next_ == end_ || !read_escape(unescaped)) return false;
      begin = next_;
      if (!skip_plain()) return false;
    }
    text.utf8 = unescaped;
    text.verbatim = false;
    return true;
  }

  bool read_escape(std::string& unescaped) {
    static constexpr std::string_view names = "\"\\/bfnrt";
    static constexpr std::string_view meanings = "\"\\/\b\f\n\r\t";
    const char name = static_cast<char>(*next_++);
    if (name != 'u') {
      const std::size_t which = names.find(name);
      if (which == std::string_view::npos) return false;
      unescaped.push_back(meanings[which]);
      return true;
    }
    char32_t point = 0;
    if (!read_unit(point) || (point >= 0xDC00 && point < 0xE000)) return false;
    if (point >= 0xD800 && point < 0xDC00) {
      char32_t low = 0;
      if (end_ - next_ < 2 || next_[0] != '\\' || next_[1] != 'u') return false;
      next_ += 2;
      if (!read_unit(low) || low < 0xDC00 || low >= 0xE000) return false;
      point = 0x10000 + ((point - 0xD800) << 10) + (low - 0xDC00);
    }
    append_utf8(point, unescaped);
    return true;
  }

  bool read_unit(char32_t& unit) {
    if (end_ - next_ < 4) return false;
    for (int place = 0; place < 4; ++place) {
      const unsigned char digit = *next_++;
      unit <<= 4;
      if (digit >= '0' && digit <= '9') {
        unit |= digit - '0';
      } else if ((digit | 0x20) >= 'a' && (digit | 0x20) <= 'f') {
        unit |= (digit | 0x20) - 'a' + 10U;
      } else {
        return false;
      }
    }
    return true;
  }

  const unsigned char* next_;
  const unsigned char* end_;
  std::deque<std::string>& arena_;
};

}  // namespace

bool read_raw_event(std::string_view payload, RawEvent& event, std::deque<std::string>& arena) {
  return EventReader(payload, arena).read(event);
}

}  // namespace kuaixun
