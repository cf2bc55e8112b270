// Raw texts to token ids, as export/text/pipeline.py defines it:
//
//     cut to max_raw_chars → patterns → fold each code point → runs of spaces to one, none at the ends
//     → cleaned text → vocabulary → a mark at both ends, at one or at none → cut to max_tokens
//
// A text without anything that a pattern could begin with takes one pass from bytes to ids; any other is decoded first.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "manifest.h"
#include "patterns.h"
#include "utf8.h"

namespace kuaixun {

// What one thread needs for encoding; reused from text to text.
struct EncodingScratch {
  Points text;
  Points spare;
};

class TextPipeline {
 public:
  // `table` as by parse_code_point_table, `characters` as by parse_vocabulary.
  TextPipeline(const TextParameters& parameters, std::vector<char32_t> table, Patterns patterns,
               const std::vector<char32_t>& characters);

  // The cleaned text as code points, before the vocabulary and the cut to max_tokens.
  void clean(std::string_view text, Surrogates surrogates, EncodingScratch& scratch, Points& cleaned) const;
  // The same as UTF-8. Returns how many code points it has.
  std::size_t clean(std::string_view text, Surrogates surrogates, EncodingScratch& scratch, std::string& utf8) const;

  // Writes at most max_tokens ids, returns how many; `is_empty` tells whether cleaning left nothing (where ends are
  // marked there are ids all the same).
  std::size_t encode(std::string_view text, Surrogates surrogates, EncodingScratch& scratch, std::int32_t* ids,
                     bool& is_empty) const;

  const TextParameters& parameters() const { return parameters_; }

 private:
  // Where not an id: what becomes of a code point.
  static constexpr std::int32_t drop_ = -1;
  static constexpr std::int32_t space_ = -2;
  static constexpr std::int32_t pattern_ = -3;  // in ascii_ alone: a pattern may begin here
  static constexpr unsigned block_bits_ = 8;
  static constexpr char32_t block_size_ = 1 << block_bits_;

  class IdWriter;

  std::int32_t id_of(char32_t point) const {
    return blocks_[block_of_[point >> block_bits_]][point & (block_size_ - 1)];
  }
  void decode_without_markup(std::string_view text, Surrogates surrogates, EncodingScratch& scratch) const;
  bool begins_pattern(const unsigned char* next, const unsigned char* end) const;

  TextParameters parameters_;
  std::vector<char32_t> table_;
  Patterns patterns_;
  std::int32_t space_id_;
  std::array<std::int32_t, 128> ascii_;
  // Ids by code point in two steps: most blocks of 256 are alike and stored once, so what is used stays in the cache.
  std::vector<std::uint16_t> block_of_;
  std::vector<std::array<std::int32_t, block_size_>> blocks_;
};

}  // namespace kuaixun
