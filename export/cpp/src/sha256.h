// SHA-256 (FIPS 180-4), by which a bundle's files are recognised.
#pragma once

#include <string>
#include <string_view>

namespace kuaixun {

// 64 lower-case hexadecimal digits.
std::string sha256(std::string_view content);

}  // namespace kuaixun
