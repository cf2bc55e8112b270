// The bundle that ships with the project, opened through the C interface: a whole one, for tests of what serves.
#pragma once

#include <gtest/gtest.h>

#include <memory>

#include "kuaixun/kuaixun.h"

namespace kuaixun_tests {

struct Close {
  void operator()(kuaixun_classifier* classifier) const { kuaixun_close(classifier); }
};
using OpenClassifier = std::unique_ptr<kuaixun_classifier, Close>;

inline OpenClassifier open_default_bundle(int precision) {
  kuaixun_classifier* opened = nullptr;
  char message[500] = "";
  EXPECT_EQ(kuaixun_open(KUAIXUN_DEFAULT_BUNDLE, precision, &opened, message, sizeof message), KUAIXUN_OK) << message;
  return OpenClassifier(opened);
}

}  // namespace kuaixun_tests
