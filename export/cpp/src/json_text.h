// JSON as msgspec writes it, byte for byte: the command line's output and the manifest's canonical form.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace kuaixun {

void append_json_string(std::string_view utf8, std::string& text);

// The shortest digits that read back as `number`, laid out as by Ryu's pretty printer: 0.00001, 1e-6, 1.5e20, 100.0.
void append_json_number(double number, std::string& text);

// append_json_number(millionths / 1e6), for 0 <= millionths <= 1e6, in a fraction of the time.
void append_json_millionths(int millionths, std::string& text);

// The same to where there is room for so much. Returns the end.
constexpr std::size_t max_millionths_size = 8;
char* write_json_millionths(int millionths, char* place);

}  // namespace kuaixun
