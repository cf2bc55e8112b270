// Any bytes as a text: both ways through the pipeline give the same ids, and what is cleaned, or shown to a person, is
// well-formed.

#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>
#include <vector>

#include "code_point_table.h"
#include "printable.h"
#include "text_pipeline.h"
#include "vocabulary.h"
#include "work.h"

namespace {

using kuaixun::PatternKind;

const kuaixun::TextPipeline& pipeline() {
  static const kuaixun::TextPipeline instance(
      {2048, 24, false},
      kuaixun::parse_code_point_table(
          "0000\t001F\t-\n0041\t005A\t0061\n200B\t200B\t-\n3000\t3000\t0020\nD800\tDFFF\t-\n"
          "FF01\tFF20\t0021\nFFFD\tFFFD\t-\n"),
      {{PatternKind::entity, PatternKind::block_tag, PatternKind::tag, PatternKind::url, PatternKind::www,
        PatternKind::email},
       {{"amp", '&'}, {"lt", '<'}, {"nbsp", 0xA0}}},
      {'a', 'b', ' ', 0x4E2D});
  return instance;
}

std::int32_t id_of(char32_t point) {
  return point == 'a' ? 3 : point == 'b' ? 4 : point == ' ' ? 5 : point == 0x4E2D ? 6 : kuaixun::unknown_id;
}

void check(std::string_view text, kuaixun::Surrogates surrogates) {
  kuaixun::EncodingScratch scratch;
  kuaixun::Points cleaned;
  std::vector<std::int32_t> ids(pipeline().parameters().max_tokens);
  bool is_empty = false;
  ids.resize(pipeline().encode(text, surrogates, scratch, ids.data(), is_empty));
  pipeline().clean(text, surrogates, scratch, cleaned);
  if (is_empty != cleaned.empty() || cleaned.size() > pipeline().parameters().max_raw_chars) std::abort();
  if (ids.size() != std::min(cleaned.size(), pipeline().parameters().max_tokens)) std::abort();
  for (std::size_t i = 0; i < ids.size(); ++i) {
    if (ids[i] != id_of(cleaned[i])) std::abort();
  }
  std::string utf8;
  if (pipeline().clean(text, surrogates, scratch, utf8) != cleaned.size() || !kuaixun::is_utf8(utf8)) std::abort();
}

// What a person is shown of it is UTF-8 without control characters, and shown again the same.
void check_shown(std::string_view text) {
  const std::string shown = kuaixun::printable(kuaixun::shortened(text));
  const auto steers = [](char byte) { return static_cast<unsigned char>(byte) < 0x20 || byte == 0x7F; };
  if (!kuaixun::is_utf8(shown) || std::any_of(shown.begin(), shown.end(), steers)) std::abort();
  if (kuaixun::printable(shown) != shown || !kuaixun::is_utf8(kuaixun::whole_characters(shown, 20))) std::abort();
}

}  // namespace

// Cleaning is linear: no text was seen to pass 420 edges for each of its bytes, and one that is not soon passes 12,000.
std::uint64_t kuaixun_fuzz::most_edges(const std::uint8_t*, std::size_t size) { return 20'000 + 1'500 * size; }

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  check(text, kuaixun::Surrogates::replace);
  check(text, kuaixun::Surrogates::pass);
  check_shown(text);
  return 0;
}
