// How the standalone driver makes one input of others.
#pragma once

#include <cstddef>
#include <random>
#include <string>
#include <vector>

namespace kuaixun_fuzz {

using Input = std::string;
using Generator = std::mt19937_64;

// The words of a dictionary file: one to a line, in double quotes, with \\, \" and \xNN; # begins a comment. It is the
// format of AFL and libFuzzer. Raises std::runtime_error.
std::vector<Input> read_dictionary(const std::string& path);

// One to eight small changes to an input: bits, bytes, words of the dictionary, numbers, pieces taken out, doubled or
// taken from `other`. At most `limit` bytes long.
Input mutated(const Input& input, const Input& other, const std::vector<Input>& dictionary, std::size_t limit,
              Generator& generator);

}  // namespace kuaixun_fuzz
