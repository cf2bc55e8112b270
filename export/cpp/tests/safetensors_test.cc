#include "safetensors.h"

#include <gtest/gtest.h>

#include "error.h"
#include "half.h"

namespace kuaixun {
namespace {

std::string file_of(const std::string& header, const std::string& data) {
  std::string content;
  for (std::size_t i = 0; i < 8; ++i) content.push_back(static_cast<char>(header.size() >> (8 * i) & 0xFF));
  return content + header + data;
}

TEST(Safetensors, ReadsTensorsInPlace) {
  const std::string content =
      file_of(R"({"__metadata__":{"x":"y"},"a":{"dtype":"F16","shape":[2,1],"data_offsets":[0,4]},)"
              R"("b":{"dtype":"F32","shape":[],"data_offsets":[4,8]},"c":{"dtype":"I8","shape":[1],)"
              R"("data_offsets":[8,9]}} )",
              "abcdefghi");
  const auto tensors = read_safetensors(content);
  EXPECT_EQ(tensors.size(), 3U);
  EXPECT_EQ(tensors.at("a").bytes, "abcd");
  EXPECT_EQ(tensors.at("a").shape, (std::vector<std::uint64_t>{2, 1}));
  EXPECT_EQ(tensors.at("b").bytes, "efgh");
  EXPECT_EQ(tensors.at("c").bytes, "i");
}

TEST(Safetensors, RefusesWhatDoesNotFitTogether) {
  const std::string whole = file_of(R"({"a":{"dtype":"F16","shape":[2],"data_offsets":[0,4]}})", "abcd");
  EXPECT_NO_THROW(read_safetensors(whole));
  for (std::size_t size = 0; size < whole.size(); ++size) {
    EXPECT_THROW(read_safetensors(whole.substr(0, size)), FormatError) << size;
  }
  for (const char* header : {
           R"({"a":{"dtype":"F16","shape":[3],"data_offsets":[0,4]}})",
           R"({"a":{"dtype":"F16","shape":[2],"data_offsets":[4,0]}})",
           R"({"a":{"dtype":"F16","shape":[2],"data_offsets":[2,6]}})",
           R"({"a":{"dtype":"F16","shape":[1],"data_offsets":[0,2]}})",
           R"({"a":{"dtype":"F16","shape":[2],"data_offsets":[0,4]},)"
           R"("b":{"dtype":"F16","shape":[1],"data_offsets":[2,4]}})",
           R"({"a":{"dtype":"F16","shape":[-2],"data_offsets":[0,4]}})",
           R"({"a":{"dtype":"F16","shape":[9223372036854775807,9223372036854775807],"data_offsets":[0,4]}})",
           R"({"a":{"dtype":"I8","shape":[2],"data_offsets":[0,4]}})",
           R"({"a":{"dtype":"U8","shape":[4],"data_offsets":[0,4]}})",
           R"({"a":{"dtype":"F16","shape":[2]}})",
           R"({"a":{"dtype":"F16","shape":[2],"data_offsets":[0,4],"more":1}})",
           R"([])",
       }) {
    EXPECT_THROW(read_safetensors(file_of(header, "abcd")), FormatError) << header;
  }
}

TEST(Half, IsExactForEveryValue) {
  EXPECT_EQ(float_of_half(0x3C00), 1.0F);
  EXPECT_EQ(float_of_half(0xC000), -2.0F);
  EXPECT_EQ(float_of_half(0x7BFF), 65504.0F);
  EXPECT_EQ(float_of_half(0x0001), 0x1p-24F);
  EXPECT_EQ(float_of_half(0x03FF), 1023 * 0x1p-24F);
  EXPECT_EQ(bits_of_float(float_of_half(0x8000)), 0x80000000U);
  EXPECT_EQ(bits_of_float(float_of_half(0x7C00)), 0x7F800000U);
}

TEST(Half, Bfloat16RoundsToNearestEven) {
  EXPECT_EQ(float_of_bfloat16(bfloat16_of_float(1.0F)), 1.0F);
  EXPECT_EQ(bfloat16_of_float(float_of_bits(0x3F808000)), 0x3F80);
  EXPECT_EQ(bfloat16_of_float(float_of_bits(0x3F818000)), 0x3F82);
  EXPECT_EQ(bfloat16_of_float(float_of_bits(0x3F808001)), 0x3F81);
}

}  // namespace
}  // namespace kuaixun
