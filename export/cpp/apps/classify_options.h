// The command line of `kuaixun-classify`.
#pragma once

#include <optional>
#include <string>

#include "precision.h"

namespace kuaixun_apps {

struct Options {
  std::string bundle;
  std::optional<kuaixun::Precision> precision;  // nothing: the one that the manifest names
  unsigned threads = 1;
  bool dump = false;
  bool golden_alone = false;
};

// What `--help` and `--version` print, wherever they stand; nothing where neither does.
const char* asked_for(int count, char** arguments);

// Raises kuaixun::Error (usage).
Options parse_options(int count, char** arguments);

}  // namespace kuaixun_apps
