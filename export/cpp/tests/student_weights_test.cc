#include "student_weights.h"

#include <gtest/gtest.h>

#include <cmath>

#include "error.h"

namespace kuaixun {
namespace {

constexpr std::size_t classes = 2;

std::string halves(const std::vector<std::uint16_t>& bits) {
  std::string bytes;
  for (const std::uint16_t half : bits) {
    bytes.push_back(static_cast<char>(half & 0xFF));
    bytes.push_back(static_cast<char>(half >> 8));
  }
  return bytes;
}

// A student of four characters, two numbers each, and one filter of width 1; scales of the embedding as they are given.
std::string file_of(const std::vector<std::uint16_t>& embedding_scales) {
  std::string header;
  std::string data;
  const auto add = [&](const char* name, const char* dtype, const char* shape, const std::string& bytes) {
    header.append(header.empty() ? "{" : ",").append("\"").append(name).append("\":{\"dtype\":\"").append(dtype);
    header.append("\",\"shape\":").append(shape).append(",\"data_offsets\":[").append(std::to_string(data.size()));
    data.append(bytes);
    header.append(",").append(std::to_string(data.size())).append("]}");
  };
  add("embedding_steps", "I8", "[4,2]", {0, 0, 127, -127, -128, 1, 3, 0});
  add("embedding_scales", "F16", "[4,1]", halves(embedding_scales));
  add("convolution_1", "F16", "[1,2,1]", halves({0x3C00, 0x3C00}));
  add("convolution_1_bias", "F16", "[1]", halves({0}));
  add("convolution_1_scales", "F32", "[1]", {0, 0, '\x80', '\x3F'});
  add("linear", "F16", "[2,1]", halves({0x3C00, 0xBC00}));
  add("linear_bias", "F16", "[2]", halves({0, 0}));
  add("ngram_steps", "I8", "[2,2]", {5, -6, 127, -128});
  add("ngram_scales", "F16", "[1,2]", halves({0x3800, 0x0001}));
  add("ngram_owners", "I16", "[2]", halves({7, 0xFFFF}));
  header.push_back('}');
  std::string content;
  for (std::size_t i = 0; i < 8; ++i) content.push_back(static_cast<char>(header.size() >> (8 * i) & 0xFF));
  return content + header + data;
}

const Architecture& architecture() {
  static const Architecture instance{4, 2, {1}, 1, NgramBranch{{2}, 1}};
  return instance;
}

TEST(StudentWeights, AStepIsWorthItsScaleExactly) {
  const StudentWeights weights =
      parse_student_weights(file_of({0x3C00, 0x2E67, 0x0001, 0x7BFF}), architecture(), classes);
  const float tenth = 1639 * 0x1p-14F;  // the half nearest to 0.1
  EXPECT_EQ(weights.embedding, (std::vector<float>{0, 0, 127 * tenth, -127 * tenth, -128 * 0x1p-24F, 0x1p-24F,
                                                   3 * 65504.0F, 0}));
  EXPECT_EQ(double{weights.embedding[2]}, 127.0 * 1639 / 16384) << "a product of single precision is rounded";
  EXPECT_EQ(weights.ngram_steps, (std::vector<std::int8_t>{5, -6, 127, -128}));
  EXPECT_EQ(weights.ngram_scales, (std::vector<float>{0.5F, 0x1p-24F}));
  EXPECT_EQ(weights.ngram_owners, (std::vector<std::int16_t>{7, -1}));
}

TEST(StudentWeights, AScaleThatIsNoPositiveNumberIsRefused) {
  for (const std::uint16_t half : std::vector<std::uint16_t>{0x0000, 0x8000, 0xBC00, 0x7C00, 0x7E00}) {
    const std::string content = file_of({0x3C00, half, 0x3C00, 0x3C00});
    EXPECT_THROW(parse_student_weights(content, architecture(), classes), FormatError) << half;
  }
}

}  // namespace
}  // namespace kuaixun
