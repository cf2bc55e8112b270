// What the C interface says where nothing can be opened. Whole bundles, sound and damaged, are opened by
// tests/export/test_cpp_parity.py, which can make them.

#include <gtest/gtest.h>

#include <cstring>
#include <string>
#include <utility>
#include <vector>

#include "kuaixun/kuaixun.h"

namespace {

TEST(Bundle, AMissingFolderIsNamed) {
  kuaixun_classifier* classifier = nullptr;
  char message[256];
  EXPECT_EQ(kuaixun_open("/nonexistent/bundle", KUAIXUN_INT8, &classifier, message, sizeof message), KUAIXUN_BUNDLE);
  EXPECT_EQ(classifier, nullptr);
  EXPECT_NE(std::strstr(message, "there is no bundle at /nonexistent/bundle: no such folder"), nullptr) << message;
}

TEST(Bundle, AMessageIsCutToItsRoomAndMayBeLeftOut) {
  kuaixun_classifier* classifier = nullptr;
  char message[8];
  EXPECT_EQ(kuaixun_open("/nonexistent/bundle", KUAIXUN_INT8, &classifier, message, sizeof message), KUAIXUN_BUNDLE);
  EXPECT_STREQ(message, "there i");
  EXPECT_EQ(kuaixun_open("/nonexistent/bundle", KUAIXUN_INT8, &classifier, nullptr, 0), KUAIXUN_BUNDLE);
}

TEST(Bundle, AMessageIsCutBetweenCharactersAndSteersNoTerminal) {
  kuaixun_classifier* classifier = nullptr;
  const std::string begins = "there is no bundle at ";
  for (const auto& [room, told] :
       std::vector<std::pair<std::size_t, std::string>>{{1, "/"}, {2, "/"}, {3, "/"}, {4, "/\xE4\xB8\xAD"}}) {
    std::vector<char> message(begins.size() + room + 1, 'x');
    EXPECT_EQ(kuaixun_open("/\xE4\xB8\xAD", KUAIXUN_INT8, &classifier, message.data(), message.size()), KUAIXUN_BUNDLE);
    EXPECT_EQ(message.data(), begins + told) << room;
  }
  char message[256];
  EXPECT_EQ(kuaixun_open("/\x1B[2J\n\xE2\x80\xAE\xFF", KUAIXUN_INT8, &classifier, message, sizeof message),
            KUAIXUN_BUNDLE);
  EXPECT_NE(std::strstr(message, "/\\x1b[2J\\x0a\\u202e\\xff: no such folder"), nullptr) << message;
}

TEST(Bundle, AnUnknownPrecisionIsAUsageError) {
  kuaixun_classifier* classifier = nullptr;
  EXPECT_EQ(kuaixun_open("/nonexistent/bundle", 7, &classifier, nullptr, 0), KUAIXUN_USAGE);
}

}  // namespace
