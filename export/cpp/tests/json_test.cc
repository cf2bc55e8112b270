#include "json.h"

#include <gtest/gtest.h>

#include "error.h"
#include "json_text.h"

namespace kuaixun {
namespace {

TEST(Json, ReadsWhatTheBundleWrites) {
  const Json json = Json::parse(" {\"a\": [1, -2.5e1, true, null], \"b\\n\": \"\\u4e2d\\ud83d\\ude00\\\"\"} ");
  EXPECT_EQ(json.at("a").array("a")[0].integer("a"), 1);
  EXPECT_EQ(json.at("a").array("a")[0].real("a"), 1.0);
  EXPECT_EQ(json.at("a").array("a")[1].real("a"), -25.0);
  EXPECT_TRUE(json.at("a").array("a")[2].boolean("a"));
  EXPECT_TRUE(json.at("a").array("a")[3].is_null());
  EXPECT_EQ(json.at("b\n").string("b"), "中😀\"");
  EXPECT_EQ(json.find("c"), nullptr);
}

TEST(Json, RefusesWhatIsNotJson) {
  for (const char* text : {"",
                           "{",
                           "[1,]",
                           "[1 2]",
                           "{\"a\"}",
                           "{\"a\":1,}",
                           "01",
                           "1.",
                           ".5",
                           "1e",
                           "+1",
                           "-",
                           "nul",
                           "NaN",
                           "1 1",
                           "\"\x01\"",
                           "\"\\x\"",
                           "\"\\u12\"",
                           "\"\\ud800\"",
                           "\"\\ud800\\u0041\"",
                           "\"\\udc00\"",
                           "\"\xff\"",
                           "\"a",
                           "{\"a\":1,\"a\":2}",
                           "1e400",
                           "-0",
                           "99999999999999999999"}) {
    EXPECT_THROW(Json::parse(text), FormatError) << text;
  }
}

TEST(Json, RefusesDeepNesting) {
  const auto nested = [](int depth) {
    return std::string(static_cast<std::size_t>(depth), '[') + std::string(static_cast<std::size_t>(depth), ']');
  };
  EXPECT_NO_THROW(Json::parse(nested(json_depth_limit)));
  EXPECT_THROW(Json::parse(nested(json_depth_limit + 1)), FormatError);
  EXPECT_NO_THROW(Json::parse(std::string(json_depth_limit, '[') + "1" + std::string(json_depth_limit, ']')));
  EXPECT_THROW(Json::parse(std::string(1 << 20, '[')), FormatError);
}

TEST(Json, TellsKindsApart) {
  EXPECT_THROW(Json::parse("1.0").integer("it"), FormatError);
  EXPECT_THROW(Json::parse("1").string("it"), FormatError);
  EXPECT_THROW(Json::parse("\"1\"").real("it"), FormatError);
  EXPECT_THROW(Json::parse("{\"a\":1}").expect_only({"b"}, "it"), FormatError);
}

// Expected values are those of msgspec.json.encode.
TEST(JsonText, WritesNumbersAsMsgspecDoes) {
  const std::pair<double, const char*> cases[] = {
      {1.0, "1.0"},
      {0.1, "0.1"},
      {0.0, "0.0"},
      {-0.0, "-0.0"},
      {-1.5, "-1.5"},
      {1e-4, "0.0001"},
      {1.2e-5, "0.000012"},
      {1e-6, "1e-6"},
      {1.25e-7, "1.25e-7"},
      {123456.789, "123456.789"},
      {100000.0, "100000.0"},
      {1e15, "1000000000000000.0"},
      {1e16, "1e16"},
      {123456789012345680.0, "1.2345678901234568e17"},
      {1.23e25, "1.23e25"},
      {5e-324, "5e-324"},
      {1.7976931348623157e308, "1.7976931348623157e308"},
      {9007199254740992.0, "9007199254740992.0"},
  };
  for (const auto& [number, expected] : cases) {
    std::string text;
    append_json_number(number, text);
    EXPECT_EQ(text, expected);
  }
}

TEST(JsonText, WritesEveryScoreAsTheNumberItIs) {
  for (int millionths = 0; millionths <= 1000000; ++millionths) {
    std::string quick;
    std::string text;
    append_json_millionths(millionths, quick);
    append_json_number(millionths / 1e6, text);
    ASSERT_EQ(quick, text);
  }
}

TEST(JsonText, EscapesAsMsgspecDoes) {
  std::string text;
  append_json_string(std::string_view("\0\x01\b\t\n\v\f\r\x1f \"\\/\x7f中😀", 21), text);
  EXPECT_EQ(text, "\"\\u0000\\u0001\\b\\t\\n\\u000b\\f\\r\\u001f \\\"\\\\/\x7f中😀\"");
}

}  // namespace
}  // namespace kuaixun
