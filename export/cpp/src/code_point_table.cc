#include "code_point_table.h"

#include <charconv>
#include <numeric>

#include "lines.h"
#include "utf8.h"

namespace kuaixun {
namespace {

constexpr const char* expected = "expected three tab-separated fields of 4 to 6 digits 0-9 and A-F";
constexpr char32_t first_surrogate = 0xD800;
constexpr char32_t last_surrogate = 0xDFFF;

char32_t hexadecimal(std::string_view field, const Lines& lines) {
  std::uint32_t number = 0;
  if (field.size() < 4 || field.size() > 6 || field.find_first_not_of("0123456789ABCDEF") != std::string_view::npos) {
    lines.fail(expected);
  }
  std::from_chars(field.data(), field.data() + field.size(), number, 16);
  return number;
}

}  // namespace

std::vector<char32_t> parse_code_point_table(std::string_view content) {
  if (!is_utf8(content)) throw FormatError("it is not UTF-8");
  std::vector<char32_t> targets(code_points);
  std::iota(targets.begin(), targets.end(), char32_t{0});
  Lines lines(content);
  char32_t beyond = 0;
  while (const auto line = lines.next()) {
    if (!line->empty() && line->front() == '#') continue;
    const std::size_t first_tab = line->find('\t');
    const std::size_t second_tab = line->find('\t', first_tab + 1);
    if (first_tab == std::string_view::npos || second_tab == std::string_view::npos) {
      lines.fail(expected);
    }
    const char32_t first = hexadecimal(line->substr(0, first_tab), lines);
    const char32_t last = hexadecimal(line->substr(first_tab + 1, second_tab - first_tab - 1), lines);
    const std::string_view target_field = line->substr(second_tab + 1);
    const bool drops = target_field == "-";
    const char32_t target = drops ? dropped : hexadecimal(target_field, lines);
    if (first < beyond || first > last || last >= code_points) lines.fail("the run is out of order or range");
    beyond = last + 1;
    if (!drops && (target >= code_points || target + (last - first) >= code_points)) {
      lines.fail("the target lies outside Unicode");
    }
    for (char32_t point = first; point <= last; ++point) targets[point] = drops ? dropped : target + (point - first);
  }
  for (const char32_t target : targets) {
    if (target != dropped && targets[target] != target) {
      throw FormatError("a target of the table does not fold to itself");
    }
  }
  for (char32_t point = first_surrogate; point <= last_surrogate; ++point) {
    if (targets[point] != dropped) throw FormatError("the table keeps surrogates, D800 to DFFF");
  }
  return targets;
}

}  // namespace kuaixun
