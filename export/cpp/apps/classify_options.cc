#include "classify_options.h"

#include <string_view>

#include "error.h"
#include "number_arguments.h"

namespace kuaixun_apps {
namespace {

constexpr const char* usage =
    "usage: kuaixun-classify --bundle DIR [--precision auto|int8|bf16|fp32] [--threads N] [--dump | --golden]\n"
    "       kuaixun-classify -h | --help | --version\n"
    "Labels standard input, one text per line, as JSON lines. --dump prints cleaned texts and token ids instead;\n"
    "--golden reads nothing and prints how far the bundle's golden cases are met.\n";

[[noreturn]] void refuse(const std::string& reason) {
  throw kuaixun::Error(kuaixun::ErrorCode::usage, reason + ". See kuaixun-classify --help.");
}

void set_option(Options& options, const std::string& name, const char* value) {
  if (name == "--bundle") {
    if (*value == '\0') refuse("--bundle: the name is empty");
    options.bundle = value;
  } else if (name == "--precision") {
    options.precision = kuaixun::precision_named(value);
    if (!options.precision && value != std::string_view("auto")) {
      refuse("--precision " + std::string(value) + ": choose auto, int8, bf16 or fp32");
    }
  } else {
    const std::optional<unsigned> threads = threads_of(value);
    if (!threads) refuse("--threads " + std::string(value) + ": expected " + threads_wanted);
    options.threads = *threads;
  }
}

bool takes_value(const std::string& name) { return name == "--bundle" || name == "--precision" || name == "--threads"; }

}  // namespace

const char* asked_for(int count, char** arguments) {
  for (int i = 1; i < count; ++i) {
    const std::string_view argument = arguments[i];
    if (argument == "--help" || argument == "-h") return usage;
    if (argument == "--version") return "kuaixun-classify " KUAIXUN_VERSION "\n";
  }
  return nullptr;
}

Options parse_options(int count, char** arguments) {
  Options options;
  for (int i = 1; i < count; ++i) {
    const std::string name = arguments[i];
    if (name == "--dump") {
      options.dump = true;
    } else if (name == "--golden") {
      options.golden_alone = true;
    } else if (const std::size_t equals = name.find('='); takes_value(name.substr(0, equals))) {
      if (equals == std::string::npos && ++i == count) refuse(name + ": expected one argument");
      set_option(options, name.substr(0, equals),
                 equals == std::string::npos ? arguments[i] : name.c_str() + equals + 1);
    } else {
      refuse("unrecognized argument: " + name);
    }
  }
  if (options.bundle.empty()) refuse("--bundle is required");
  if (options.dump && options.golden_alone) refuse("--golden reads no text that --dump could print");
  return options;
}

}  // namespace kuaixun_apps
