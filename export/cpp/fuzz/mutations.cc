#include "mutations.h"

#include <algorithm>
#include <array>
#include <cctype>
#include <fstream>
#include <stdexcept>

namespace kuaixun_fuzz {
namespace {

// Where sizes, signs and encodings have their edges.
constexpr std::array<unsigned char, 16> edge_bytes = {0x00, 0x01, 0x0A, 0x20, 0x22, 0x2D, 0x5C, 0x7F,
                                                      0x80, 0xBF, 0xC0, 0xE0, 0xED, 0xF4, 0xFE, 0xFF};
constexpr std::array<const char*, 14> edge_numbers = {"0",
                                                      "-1",
                                                      "1",
                                                      "255",
                                                      "65536",
                                                      "2147483648",
                                                      "4294967296",
                                                      "9223372036854775807",
                                                      "9223372036854775808",
                                                      "18446744073709551615",
                                                      "1e308",
                                                      "1e999",
                                                      "-0.0",
                                                      "4.9e-324"};

std::size_t below(std::size_t limit, Generator& generator) {
  return limit == 0 ? 0 : static_cast<std::size_t>(generator() % limit);
}

char any_byte(Generator& generator) {
  const bool is_edge = below(2, generator) == 0;
  return static_cast<char>(is_edge ? edge_bytes[below(edge_bytes.size(), generator)] : below(256, generator));
}

// A piece of an input, short ones more often than long ones.
std::pair<std::size_t, std::size_t> piece(const Input& input, Generator& generator) {
  const std::size_t begin = below(input.size(), generator);
  const std::size_t longest =
      below(4, generator) == 0 ? input.size() - begin : std::min<std::size_t>(16, input.size() - begin);
  return {begin, std::min(longest, 1 + below(longest, generator))};
}

void put_word(Input& input, const Input& word, Generator& generator) {
  const std::size_t place = below(input.size() + 1, generator);
  const std::size_t replaced = below(2, generator) == 0 ? 0 : word.size();
  input.replace(place, std::min(replaced, input.size() - place), word);
}

void put_number(Input& input, Generator& generator) {
  const auto is_digit = [](unsigned char byte) { return std::isdigit(byte) != 0; };
  const auto from = input.begin() + static_cast<std::ptrdiff_t>(below(input.size(), generator));
  const auto begin = std::find_if(from, input.end(), is_digit);
  input.replace(begin, std::find_if_not(begin, input.end(), is_digit),
                edge_numbers[below(edge_numbers.size(), generator)]);
}

void change(Input& input, const Input& other, const std::vector<Input>& dictionary, Generator& generator) {
  if (input.empty()) {
    input.push_back(any_byte(generator));
    return;
  }
  const auto [begin, size] = piece(input, generator);
  switch (below(dictionary.empty() ? 8 : 11, generator)) {
    case 0:
      input[begin] = static_cast<char>(static_cast<unsigned char>(input[begin]) ^ 1U << below(8, generator));
      break;
    case 1:
      input[begin] = any_byte(generator);
      break;
    case 2:
      input.insert(begin, 1, any_byte(generator));
      break;
    case 3:
      input.erase(begin, size);
      break;
    case 4:
      input.insert(below(input.size() + 1, generator), input.substr(begin, size));
      break;
    case 5:
      put_number(input, generator);
      break;
    case 6:
      input.resize(begin);
      break;
    case 7:
      if (!other.empty()) {
        const auto [other_begin, other_size] = piece(other, generator);
        input.replace(begin, size, other, other_begin, other_size);
      }
      break;
    default:
      put_word(input, dictionary[below(dictionary.size(), generator)], generator);
  }
}

Input word_of_line(const std::string& line) {
  const std::size_t begin = line.find('"');
  const std::size_t end = line.rfind('"');
  if (begin == std::string::npos || begin == end) throw std::runtime_error("no quoted word in " + line);
  Input word;
  for (std::size_t i = begin + 1; i < end; ++i) {
    if (line[i] == '\\' && line.compare(i, 2, "\\x") == 0) {
      word.push_back(static_cast<char>(std::stoi(line.substr(i + 2, 2), nullptr, 16)));
      i += 3;
    } else {
      if (line[i] == '\\') ++i;
      word.push_back(line[i]);
    }
  }
  return word;
}

}  // namespace

std::vector<Input> read_dictionary(const std::string& path) {
  std::ifstream file(path);
  if (!file) throw std::runtime_error(path + " cannot be read");
  std::vector<Input> words;
  for (std::string line; std::getline(file, line);) {
    if (!line.empty() && line.front() != '#') words.push_back(word_of_line(line));
  }
  return words;
}

Input mutated(const Input& input, const Input& other, const std::vector<Input>& dictionary, std::size_t limit,
              Generator& generator) {
  Input result = input;
  for (std::size_t count = std::size_t{1} << std::min(below(4, generator), below(4, generator)); count > 0; --count) {
    change(result, other, dictionary, generator);
  }
  if (result.size() > limit) result.resize(limit);
  return result;
}

}  // namespace kuaixun_fuzz
