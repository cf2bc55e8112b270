#include "text_pipeline.h"

#include <algorithm>
#include <map>

#include "code_point_table.h"
#include "vocabulary.h"

namespace kuaixun {

// Takes what each code point becomes, in order, and keeps single spaces between characters.
class TextPipeline::IdWriter {
 public:
  IdWriter(const TextPipeline& pipeline, std::int32_t* ids) : ids_(ids), space_id_(pipeline.space_id_) {
    limit_ = pipeline.parameters_.max_tokens;
    marks_end_ = pipeline.parameters_.append_cls;
    if (pipeline.parameters_.prepend_cls) ids_[count_++] = cls_id;
  }

  void put(std::int32_t id) {
    if (id >= 0) {
      if (space_is_due_) append(space_id_);
      append(id);
      space_is_due_ = false;
      is_empty_ = false;
    } else if (id == space_) {
      space_is_due_ = !is_empty_;
    }
  }

  // How many ids there are, the mark at the end with them.
  std::size_t finish(bool& is_empty) {
    if (marks_end_) append(cls_id);
    is_empty = is_empty_;
    return count_;
  }

 private:
  void append(std::int32_t id) {
    if (count_ < limit_) ids_[count_++] = id;
  }

  std::int32_t* ids_;
  std::int32_t space_id_;
  std::size_t limit_ = 0;
  std::size_t count_ = 0;
  bool marks_end_ = false;
  bool space_is_due_ = false;
  bool is_empty_ = true;
};

TextPipeline::TextPipeline(const TextParameters& parameters, std::vector<char32_t> table, Patterns patterns,
                           const std::vector<char32_t>& characters)
    : parameters_(parameters), table_(std::move(table)), patterns_(std::move(patterns)) {
  std::vector<std::int32_t> id_of_target(code_points, unknown_id);
  auto id = static_cast<std::int32_t>(special_ids);
  for (const char32_t character : characters) id_of_target[character] = id++;
  space_id_ = id_of_target[space];

  std::map<std::array<std::int32_t, block_size_>, std::uint16_t> known;
  std::array<std::int32_t, block_size_> block;
  for (char32_t first = 0; first < code_points; first += block_size_) {
    for (char32_t place = 0; place < block_size_; ++place) {
      const char32_t target = table_[first + place];
      block[place] = target == dropped ? drop_ : target == space ? space_ : id_of_target[target];
    }
    const auto [found, is_new] = known.emplace(block, static_cast<std::uint16_t>(blocks_.size()));
    if (is_new) blocks_.push_back(block);
    block_of_.push_back(found->second);
  }

  for (char32_t point = 0; point < ascii_.size(); ++point) ascii_[point] = id_of(point);
  for (const PatternKind kind : patterns_.kinds) {
    const char begins = kind == PatternKind::entity                                  ? '&'
                        : kind == PatternKind::block_tag || kind == PatternKind::tag ? '<'
                        : kind == PatternKind::url                                   ? ':'
                        : kind == PatternKind::www                                   ? 'w'
                                                                                     : '@';
    ascii_[static_cast<unsigned char>(begins)] = pattern_;
  }
}

// Whether the guard of a pattern stands at `next`, where one of its first characters does.
bool TextPipeline::begins_pattern(const unsigned char* next, const unsigned char* end) const {
  const auto follows = [next, end](std::string_view guard) {
    return static_cast<std::size_t>(end - next) >= guard.size() && std::equal(guard.begin(), guard.end(), next);
  };
  return *next == ':' ? follows("://") : *next == 'w' ? follows("www.") : true;
}

void TextPipeline::decode_without_markup(std::string_view text, Surrogates surrogates, EncodingScratch& scratch) const {
  scratch.text.clear();
  decode(text, surrogates, parameters_.max_raw_chars, scratch.text);
  apply_patterns(patterns_, scratch.text, scratch.spare);
}

void TextPipeline::clean(std::string_view text, Surrogates surrogates, EncodingScratch& scratch,
                         Points& cleaned) const {
  decode_without_markup(text, surrogates, scratch);
  cleaned.clear();
  for (const char32_t point : scratch.text) {
    const char32_t target = table_[point];
    if (target == dropped || (target == space && (cleaned.empty() || cleaned.back() == space))) continue;
    cleaned.push_back(target);
  }
  if (!cleaned.empty() && cleaned.back() == space) cleaned.pop_back();
}

std::size_t TextPipeline::clean(std::string_view text, Surrogates surrogates, EncodingScratch& scratch,
                                std::string& utf8) const {
  Points cleaned;
  clean(text, surrogates, scratch, cleaned);
  utf8.clear();
  for (const char32_t point : cleaned) append_utf8(point, utf8);
  return cleaned.size();
}

std::size_t TextPipeline::encode(std::string_view text, Surrogates surrogates, EncodingScratch& scratch,
                                 std::int32_t* ids, bool& is_empty) const {
  IdWriter writer(*this, ids);
  auto next = reinterpret_cast<const unsigned char*>(text.data());
  const auto end = next + text.size();
  for (std::size_t left = parameters_.max_raw_chars; next != end && left > 0; --left) {
    if (*next >= 0x80) {
      writer.put(id_of(decode_one(next, end, surrogates)));
      continue;
    }
    std::int32_t id = ascii_[*next];
    if (id == pattern_) {
      if (begins_pattern(next, end)) {
        decode_without_markup(text, surrogates, scratch);
        IdWriter again(*this, ids);
        for (const char32_t point : scratch.text) again.put(id_of(point));
        return again.finish(is_empty);
      }
      id = id_of(*next);
    }
    writer.put(id);
    ++next;
  }
  return writer.finish(is_empty);
}

}  // namespace kuaixun
