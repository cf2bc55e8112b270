#include "text_pipeline.h"

#include <gtest/gtest.h>

#include "code_point_table.h"
#include "error.h"
#include "vocabulary.h"

namespace kuaixun {
namespace {

constexpr const char* small_table =
    "# first\tlast\ttarget\n"
    "0000\t0008\t-\n"
    "0009\t000D\t-\n"
    "0041\t005A\t0061\n"
    "200B\t200B\t-\n"
    "3000\t3000\t0020\n"
    "D800\tDFFF\t-\n"
    "FF21\tFF3A\t0061\n"
    "FFFD\tFFFD\t-\n";

constexpr const char* surrogates = "D800\tDFFF\t-\n";

TextPipeline pipeline_of(TextParameters parameters) {
  Patterns patterns{{PatternKind::tag, PatternKind::www}, {}};
  return TextPipeline(parameters, parse_code_point_table(small_table), patterns, {'a', 0x4E2D, ' '});
}

struct Result {
  std::string cleaned;
  std::vector<std::int32_t> ids;
  bool is_empty;
};

Result encoded(const TextPipeline& pipeline, std::string_view text) {
  EncodingScratch scratch;
  Points cleaned;
  Result result;
  result.ids.resize(pipeline.parameters().max_tokens);
  result.ids.resize(pipeline.encode(text, Surrogates::replace, scratch, result.ids.data(), result.is_empty));
  pipeline.clean(text, Surrogates::replace, scratch, cleaned);
  for (const char32_t point : cleaned) append_utf8(point, result.cleaned);
  return result;
}

TEST(TextPipeline, FoldsDropsAndKeepsSingleSpaces) {
  const TextPipeline pipeline = pipeline_of({100, 16, false});
  const Result result = encoded(pipeline, "  Ａ\xE3\x80\x80 \xE2\x80\x8B A中b \xFF");
  EXPECT_EQ(result.cleaned, "a a中b");
  EXPECT_EQ(result.ids, (std::vector<std::int32_t>{3, 5, 3, 4, unknown_id}));
  EXPECT_FALSE(result.is_empty);
}

TEST(TextPipeline, MarkupTakesTheLongWayToTheSameIds) {
  const TextPipeline pipeline = pipeline_of({100, 16, false});
  EXPECT_EQ(encoded(pipeline, "a<b>中").ids, encoded(pipeline, "a中").ids);
  EXPECT_EQ(encoded(pipeline, "a www.x.cn中").ids, encoded(pipeline, "a 中").ids);
  EXPECT_EQ(encoded(pipeline, "ww中").ids, (std::vector<std::int32_t>{unknown_id, unknown_id, 4}));
}

TEST(TextPipeline, MarkupBehindTheLastTokenStillCounts) {
  EXPECT_EQ(encoded(pipeline_of({100, 2, false}), "<aaaa>中").ids, (std::vector<std::int32_t>{4}));
}

TEST(TextPipeline, NothingLeftIsEmptyEvenWithAClsToken) {
  EXPECT_TRUE(encoded(pipeline_of({100, 16, false}), " \xE2\x80\x8B<b>\xFF").is_empty);
  const Result result = encoded(pipeline_of({100, 3, true}), "");
  EXPECT_TRUE(result.is_empty);
  EXPECT_EQ(result.ids, (std::vector<std::int32_t>{cls_id}));
  EXPECT_EQ(encoded(pipeline_of({100, 3, true}), "aaaa").ids, (std::vector<std::int32_t>{cls_id, 3, 3}));
}

TEST(TextPipeline, MarksTheEndWhereThereIsRoom) {
  const TextPipeline pipeline = pipeline_of({100, 4, true, true});
  EXPECT_EQ(encoded(pipeline, "aa").ids, (std::vector<std::int32_t>{cls_id, 3, 3, cls_id}));
  EXPECT_EQ(encoded(pipeline, "a<b>a").ids, (std::vector<std::int32_t>{cls_id, 3, 3, cls_id}));
  EXPECT_EQ(encoded(pipeline, "aaa").ids, (std::vector<std::int32_t>{cls_id, 3, 3, 3}));
  EXPECT_EQ(encoded(pipeline, " ").ids, (std::vector<std::int32_t>{cls_id, cls_id}));
  EXPECT_TRUE(encoded(pipeline, " ").is_empty);
}

TEST(TextPipeline, ReadsTheFirstCodePointsAlone) {
  EXPECT_EQ(encoded(pipeline_of({2, 16, false}), "\xE2\x80\x8B中a").cleaned, "中");
  EXPECT_EQ(encoded(pipeline_of({4, 16, false}), "a<b>c").cleaned, "a");
  EXPECT_EQ(encoded(pipeline_of({3, 16, false}), "a<b>c").cleaned, "a<b");
}

TEST(CodePointTable, RefusesDamageWithItsLine) {
  for (const char* content :
       {"0041\t0042", "0041\t0042\tzz", "0041\t0040\t-", "0041\t0042\t-\n0042\t0043\t-", "0041\t110000\t-",
        "0041\t0042\t10FFFF", "0041\t0041\t0042\n0042\t0042\t0043", "0041\t0041\t-\n0042\t0042\t0041", "\n",
        "0041\t0041\t", "\t\t", "FFFFFFFFFF\tFFFFFFFFFF\t-"}) {
    EXPECT_THROW(parse_code_point_table(std::string(content) + "\n" + surrogates), FormatError) << content;
  }
}

TEST(CodePointTable, TakesNumbersInOneSpellingAlone) {
  EXPECT_EQ(parse_code_point_table(std::string("00AA\t00AA\t0061\n") + surrogates)[0xAA], U'a');
  for (const char* content : {"00aa\t00AA\t0061", "AA\tAA\t61", "00000AA\t00AA\t0061", "+0AA\t00AA\t0061",
                              "0xAA\t00AA\t0061", " 0AA\t00AA\t0061", "0_AA\t00AA\t0061", "00AA\t00AA\t0061\r",
                              "00AA\t00AA\t0061\xE2\x80\xA8", "00AA\t00AA\t0061\t", "# \xFF"}) {
    EXPECT_THROW(parse_code_point_table(std::string(content) + "\n" + surrogates), FormatError) << content;
  }
}

TEST(CodePointTable, ThatLeavesASurrogateInPlaceIsRefused) {
  EXPECT_NO_THROW(parse_code_point_table(surrogates));
  for (const char* content : {"", "# nothing\n", "D800\tDFFE\t-\n", "D801\tDFFF\t-\n", "D800\tDFFF\t4E00\n"}) {
    EXPECT_THROW(parse_code_point_table(content), FormatError) << content;
  }
}

TEST(Vocabulary, ReadsCharactersInOrderAndRefusesDamage) {
  const std::string start = "[PAD]\n[UNK]\n[CLS]\n";
  EXPECT_EQ(parse_vocabulary(start + "U+0020\t \nU+4E2D\t中\nU+0009\t\t\n"),
            (std::vector<char32_t>{' ', 0x4E2D, '\t'}));
  for (const std::string& content :
       {std::string(), std::string("[PAD]\n[UNK]\n"), start + "U+0041\tB\n", start + "U+0041\n",
        start + "U+0041\tA\nU+0041\tA\n", start + "\n", start + "U+0041\tAB\n", start + "U+FFFD\t\xFF\n"}) {
    EXPECT_THROW(parse_vocabulary(content), FormatError) << content;
  }
}

}  // namespace
}  // namespace kuaixun
