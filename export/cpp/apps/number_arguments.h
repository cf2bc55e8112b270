// Numbers of a command line: whole arguments, in range, or nothing.
#pragma once

#include <cmath>
#include <cstdlib>
#include <optional>

namespace kuaixun_apps {

constexpr unsigned long threads_limit = 1024;
constexpr const char* threads_wanted = "a whole number from 1 to 1024";

inline std::optional<unsigned> threads_of(const char* argument) {
  char* end = nullptr;
  const unsigned long number = std::strtoul(argument, &end, 10);
  if (*argument < '0' || *argument > '9' || *end != '\0' || number < 1 || number > threads_limit) return std::nullopt;
  return static_cast<unsigned>(number);
}

constexpr double seconds_limit = 3600.0;
constexpr const char* seconds_wanted = "a number above 0 and up to 3600";

inline std::optional<double> seconds_of(const char* argument) {
  char* end = nullptr;
  const double number = std::strtod(argument, &end);
  if (end == argument || *end != '\0' || !(number > 0.0 && number <= seconds_limit)) return std::nullopt;
  return number;
}

}  // namespace kuaixun_apps
