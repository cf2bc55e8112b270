// How the folded tables are held: see student_tables.h.
#pragma once

#include <optional>
#include <string_view>

namespace kuaixun {

enum class Precision : int { fp32 = 0, bf16 = 1, int8 = 2 };

inline const char* precision_name(Precision precision) {
  return precision == Precision::fp32 ? "fp32" : precision == Precision::bf16 ? "bf16" : "int8";
}

inline std::optional<Precision> precision_named(std::string_view name) {
  for (const Precision precision : {Precision::fp32, Precision::bf16, Precision::int8}) {
    if (name == precision_name(precision)) return precision;
  }
  return std::nullopt;
}

}  // namespace kuaixun
