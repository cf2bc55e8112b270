// A bound on the time that an input may take, in what no other work of the machine can change.
#pragma once

#include <cstddef>
#include <cstdint>

namespace kuaixun_fuzz {

// The most edges of the runtime's code that this input may pass, in a process that has tried another before. Defined by
// each target, and held to by standalone_driver.cc; libFuzzer knows no such bound, and has its -timeout alone.
std::uint64_t most_edges(const std::uint8_t* data, std::size_t size);

}  // namespace kuaixun_fuzz
