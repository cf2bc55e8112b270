#include "utf8.h"

#include <gtest/gtest.h>

namespace kuaixun {
namespace {

using Points = std::vector<char32_t>;

Points decoded(std::string_view text, Surrogates surrogates = Surrogates::replace) {
  Points points;
  decode(text, surrogates, 1000, points);
  return points;
}

constexpr char32_t bad = replacement_character;

// Expected values are those of Python's bytes.decode("utf-8", "replace").
TEST(Utf8, ReplacesEachMaximalPartOfAnInvalidSequence) {
  EXPECT_EQ(decoded("a\xE4\xB8\xADz"), (Points{'a', 0x4E2D, 'z'}));
  EXPECT_EQ(decoded("\xE4\xB8"), (Points{bad}));
  EXPECT_EQ(decoded("\xE4\xB8 a"), (Points{bad, ' ', 'a'}));
  EXPECT_EQ(decoded("\xC0\x80"), (Points{bad, bad}));
  EXPECT_EQ(decoded("\xE0\x80\x80"), (Points{bad, bad, bad}));
  EXPECT_EQ(decoded("\xF0\x90\x80"), (Points{bad}));
  EXPECT_EQ(decoded("\xF0\x80\x80\x80"), (Points{bad, bad, bad, bad}));
  EXPECT_EQ(decoded("\xF4\x90\x80\x80"), (Points{bad, bad, bad, bad}));
  EXPECT_EQ(decoded("\xF5\xFF\x80"), (Points{bad, bad, bad}));
  EXPECT_EQ(decoded("\xF4\x8F\xBF\xBF"), (Points{0x10FFFF}));
  EXPECT_EQ(decoded("\xE4\xE4\xB8\xAD"), (Points{bad, 0x4E2D}));
}

TEST(Utf8, TakesSurrogatesOnlyWhereTheyAreLetPass) {
  EXPECT_EQ(decoded("\xED\xA0\x80"), (Points{bad, bad, bad}));
  EXPECT_EQ(decoded("\xED\xA0\x80", Surrogates::pass), (Points{0xD800}));
  EXPECT_EQ(decoded("\xED\x9F\xBF"), (Points{0xD7FF}));
}

TEST(Utf8, StopsAtTheLimit) {
  Points points;
  decode("\xE4\xB8\xAD\xE5\x9B\xBDx", Surrogates::replace, 2, points);
  EXPECT_EQ(points, (Points{0x4E2D, 0x56FD}));
}

TEST(Utf8, EveryCodePointSurvivesBeingWritten) {
  for (char32_t point = 0; point < code_points; ++point) {
    std::string text;
    append_utf8(point, text);
    const bool is_surrogate = point >= 0xD800 && point <= 0xDFFF;
    ASSERT_EQ(decoded(text, Surrogates::pass), (Points{point}));
    ASSERT_EQ(is_utf8(text), !is_surrogate) << static_cast<unsigned>(point);
  }
}

}  // namespace
}  // namespace kuaixun
