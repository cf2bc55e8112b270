// What the C interface says where nothing can be opened. Whole bundles, sound and damaged, are opened by
// tests/export/test_cpp_parity.py, which can make them.

#include <gtest/gtest.h>

#include <cstring>

#include "kuaixun/kuaixun.h"

namespace {

TEST(Bundle, AMissingFolderIsNamed) {
  kuaixun_classifier* classifier = nullptr;
  char message[256];
  EXPECT_EQ(kuaixun_open("/nonexistent/bundle", KUAIXUN_INT8, &classifier, message, sizeof message), KUAIXUN_BUNDLE);
  EXPECT_EQ(classifier, nullptr);
  EXPECT_NE(std::strstr(message, "/nonexistent/bundle/manifest.json cannot be read"), nullptr) << message;
}

TEST(Bundle, AMessageIsCutToItsRoomAndMayBeLeftOut) {
  kuaixun_classifier* classifier = nullptr;
  char message[8];
  EXPECT_EQ(kuaixun_open("/nonexistent/bundle", KUAIXUN_INT8, &classifier, message, sizeof message), KUAIXUN_BUNDLE);
  EXPECT_EQ(std::strlen(message), sizeof message - 1);
  EXPECT_EQ(kuaixun_open("/nonexistent/bundle", KUAIXUN_INT8, &classifier, nullptr, 0), KUAIXUN_BUNDLE);
}

TEST(Bundle, AnUnknownPrecisionIsAUsageError) {
  kuaixun_classifier* classifier = nullptr;
  EXPECT_EQ(kuaixun_open("/nonexistent/bundle", 7, &classifier, nullptr, 0), KUAIXUN_USAGE);
}

}  // namespace
