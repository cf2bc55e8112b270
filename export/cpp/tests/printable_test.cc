#include "printable.h"

#include <gtest/gtest.h>

#include "error.h"
#include "json.h"
#include "utf8.h"

namespace kuaixun {
namespace {

TEST(Printable, EscapesWhatSteersATerminalAndNothingElse) {
  EXPECT_EQ(printable("a\x1B[31m\n\r\t\x7F"), "a\\x1b[31m\\x0a\\x0d\\x09\\x7f");
  EXPECT_EQ(printable("\xC2\x9B\xC2\xAD"), "\\x9b\\xad");
  EXPECT_EQ(printable("\xE2\x80\xAE\xE2\x80\xA8\xEF\xBB\xBF"), "\\u202e\\u2028\\ufeff");
  EXPECT_EQ(printable("\xF3\xA0\x80\x81"), "\\U000e0001");
  EXPECT_EQ(printable("\xE4\xB8\xAD\xFF\xE4\xB8"), "\xE4\xB8\xAD\\xff\\xe4\\xb8");
  for (const char* same :
       {"", "\xE8\x82\xA1\xE7\xA5\xA8 1.2%", "\\x1b", "\xEF\xBF\xBD", "\xF0\x9F\x8F\x80\xE3\x80\x80"}) {
    EXPECT_EQ(printable(same), same);
  }
}

TEST(Printable, IsCutBetweenCharacters) {
  const std::string text = "a\xE4\xB8\xAD\xF0\x9F\x8F\x80";
  EXPECT_EQ(shortened(text, 2), "a\xE4\xB8\xAD");
  EXPECT_EQ(shortened(text, 3), text);
  EXPECT_EQ(shortened(text, 9), text);
  for (std::size_t bytes = 0; bytes <= text.size(); ++bytes) EXPECT_TRUE(is_utf8(whole_characters(text, bytes)));
  EXPECT_EQ(whole_characters(text, 7), "a\xE4\xB8\xAD");
  EXPECT_EQ(whole_characters(text, 8), text);
}

TEST(Printable, AReaderQuotesWholeCharacters) {
  std::string name;
  for (int i = 0; i < 50; ++i) name += "\xE4\xB8\xAD";
  try {
    Json::parse("{\"" + name + "\":1}").expect_only({"a"}, "it");
    FAIL();
  } catch (const FormatError& error) {
    EXPECT_EQ(error.what(), "it has an unknown field " + name.substr(0, 3 * quoted_characters));
  }
}

}  // namespace
}  // namespace kuaixun
