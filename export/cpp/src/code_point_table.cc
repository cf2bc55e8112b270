#include "code_point_table.h"

#include <charconv>
#include <numeric>

#include "lines.h"
#include "utf8.h"

namespace kuaixun {
namespace {

char32_t hexadecimal(std::string_view field, const Lines& lines) {
  std::uint32_t number = 0;
  const auto [end, error] = std::from_chars(field.data(), field.data() + field.size(), number, 16);
  if (error != std::errc() || end != field.data() + field.size()) {
    lines.fail("expected three tab-separated hexadecimal fields");
  }
  return number;
}

}  // namespace

std::vector<char32_t> parse_code_point_table(std::string_view content) {
  std::vector<char32_t> targets(code_points);
  std::iota(targets.begin(), targets.end(), char32_t{0});
  Lines lines(content);
  char32_t beyond = 0;
  while (const auto line = lines.next()) {
    if (!line->empty() && line->front() == '#') continue;
    const std::size_t first_tab = line->find('\t');
    const std::size_t second_tab = line->find('\t', first_tab + 1);
    if (first_tab == std::string_view::npos || second_tab == std::string_view::npos) {
      lines.fail("expected three tab-separated hexadecimal fields");
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
  return targets;
}

}  // namespace kuaixun
