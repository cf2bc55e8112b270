#include "patterns.h"

#include <gtest/gtest.h>

#include "error.h"
#include "utf8.h"

namespace kuaixun {
namespace {

std::string cleaned_of(const std::vector<PatternKind>& kinds, const std::string& text) {
  Patterns patterns{kinds, {{"amp", '&'}, {"lt", '<'}, {"gt", '>'}}};
  Points points;
  Points scratch;
  decode(text, Surrogates::replace, text.size(), points);
  apply_patterns(patterns, points, scratch);
  std::string result;
  for (const char32_t point : points) append_utf8(point, result);
  return result;
}

std::string times(const std::string& text, int count) {
  std::string result;
  for (int i = 0; i < count; ++i) result += text;
  return result;
}

// Expected values are those of Python's re.sub with the patterns of export/text/patterns.py.
TEST(Patterns, Entities) {
  const std::vector<PatternKind> entity{PatternKind::entity};
  EXPECT_EQ(cleaned_of(entity, "a&amp;b&#20013;&#x4E2D;&#X41;"), "a&b中中A");
  EXPECT_EQ(cleaned_of(entity, "&unknown;&#1114112;|"), "|");
  EXPECT_EQ(cleaned_of(entity, "&#12345678;&#x1234567;&;&#;&#x;&a;&1a;"), "&#12345678;&#x1234567;&;&#;&#x;&a;&1a;");
  EXPECT_EQ(cleaned_of(entity, "&a" + times("b", 31) + ";&a" + times("b", 32) + ";"), "&a" + times("b", 32) + ";");
  EXPECT_EQ(cleaned_of(entity, "&&amp;amp;"), "&&amp;");
}

TEST(Patterns, Tags) {
  const std::vector<PatternKind> tags{PatternKind::block_tag, PatternKind::tag};
  EXPECT_EQ(cleaned_of(tags, "a<b>b</b><BR/>c<p class=x>d</DIV>e<h7>f<h1>g<thx>h"), "ab c d ef gh");
  EXPECT_EQ(cleaned_of(tags, "5<6>3<!-- x --></><p<b>"), "5<6>3<p");
  EXPECT_EQ(cleaned_of(tags, "<a" + times("x", 511) + ">|<a" + times("x", 512) + ">|<a" + times("x", 513) + ">"),
            "||<a" + times("x", 513) + ">");
  EXPECT_EQ(cleaned_of(tags, "<p " + times("x", 512) + ">|<li/" + times("x", 513) + ">"),
            " |<li/" + times("x", 513) + ">");
}

TEST(Patterns, Urls) {
  const std::vector<PatternKind> url{PatternKind::url};
  EXPECT_EQ(cleaned_of(url, "看https://a.cn/路"), "看 路");
  EXPECT_EQ(cleaned_of(url, "h://a 1http://a 12://a ://a http://，"), "h://a 1  12://a ://a http://，");
  EXPECT_EQ(cleaned_of(url, times("a", 20) + "://x"), "aaaa ");
  EXPECT_EQ(cleaned_of(url, "a-" + times("1", 14) + "://x|a-" + times("1", 15) + "://x"),
            " |a-" + times("1", 15) + "://x");
  EXPECT_EQ(cleaned_of(url, "ab://" + times("x", 2049)), " x");
  EXPECT_EQ(cleaned_of(url, "ab://,cd://x|"), " |");
  EXPECT_EQ(cleaned_of({PatternKind::www}, "wwww.a.cn www. www.,"), "w  www.  ");
}

TEST(Patterns, Emails) {
  const std::vector<PatternKind> email{PatternKind::email};
  EXPECT_EQ(cleaned_of(email, "寄x.y@example.com.cn谢"), "寄 谢");
  EXPECT_EQ(cleaned_of(email, "a@b a@b. a@.b @b.c a@@b.c a@b@c.d"), "a@b a@b. a@.b @b.c a@@b.c a@ ");
  EXPECT_EQ(cleaned_of(email, times("a", 70) + "@b.c"), "aaaaaa ");
  EXPECT_EQ(cleaned_of(email, "a@" + times("b", 63) + ".c|a@" + times("b", 64) + ".c"), " |a@" + times("b", 64) + ".c");
  EXPECT_EQ(cleaned_of(email, "a@b." + times("c", 64) + ".d"), " c.d");
  EXPECT_EQ(cleaned_of(email, "a@b" + times(".c", 10)), " .c.c");
}

TEST(Patterns, NoneIsListedTwice) {
  const std::string tag = R"j({"name":"tag","guard":"<","regex":"<[A-Za-z/!][^<>]{0,512}>","replacement":""})j";
  const auto file = [](const std::string& patterns) { return R"({"patterns":[)" + patterns + R"(],"entities":{}})"; };
  EXPECT_EQ(parse_patterns(file(tag)).kinds.size(), 1U);
  EXPECT_THROW(parse_patterns(file(tag + "," + tag)), FormatError);
}

TEST(Patterns, AnyOtherThanTheFormatsIsRefused) {
  const auto file = [](const char* regex, const char* replacement) {
    return std::string(R"({"patterns":[{"name":"tag","guard":"<","regex":")") + regex + R"(","replacement":)" +
           replacement + R"(}],"entities":{"amp":"&"}})";
  };
  EXPECT_EQ(parse_patterns(file("<[A-Za-z/!][^<>]{0,512}>", "\"\"")).kinds, std::vector<PatternKind>{PatternKind::tag});
  EXPECT_THROW(parse_patterns(file("(a+)+$", "\"\"")), FormatError);
  EXPECT_THROW(parse_patterns(file("<[A-Za-z/!][^<>]{0,512}>", "\" \"")), FormatError);
  EXPECT_THROW(parse_patterns(file("<[A-Za-z/!][^<>]{0,512}>", "null")), FormatError);
  EXPECT_THROW(parse_patterns(R"({"patterns":[],"entities":{"amp":"&&"}})"), FormatError);
}

}  // namespace
}  // namespace kuaixun
