#include "manifest.h"

#include <gtest/gtest.h>

#include <array>

#include "error.h"

namespace kuaixun {
namespace {

// Written by msgspec from schemas/manifest.py, which also computed the model_id.
const std::string written =
    R"json({"format_version":3,"model_id":"f669392486bdb601","created_at":"2026-01-02T03:04:05+00:00","labels":)json"
    R"json(["财经","a\"b","\u0001"],"text":{"max_raw_chars":2048,"max_tokens":24,"prepend_cls":false},"architectu)json"
    R"json(re":{"vocabulary_size":10,"embedding_size":200,"widths":[2,3],"filters":16,"ngrams":{"orders":[2,3],)json"
    R"json("bucket_bits":8,"size":32}},"temperature":1.5,"precision":{"default":"bf16","costs":{"bf16":{"accura)json"
    R"json(cy_difference":0.0,"label_agreement":1.0,"largest_logit_difference":0.007285},"int8":{"accuracy_diff)json"
    R"json(erence":-0.0003,"label_agreement":0.9994,"largest_logit_difference":0.064321}}},"metrics":{"dev":{"a)json"
    R"json(ccuracy":0.925,"tiny":1e-6,"huge":1.5e20,"whole":3.0}},"training":{"command":"kuaixun-trainer distil)json"
    R"json(","seed":-20,"versions":{"torch":"2.13"},"data":[{"role":"train","name":"训.txt","rows":1,"sha256":"0)json"
    R"json(000000000000000000000000000000000000000000000000000000000000000"}]},"files":{"weights.safetensors":{)json"
    R"json("size_bytes":7,"sha256":"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"},"é":{"si)json"
    R"json(ze_bytes":0,"sha256":"bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"}}})json";

// The same structure, hence the same id: defaults left out, an integer for a float, an unknown field where tolerated.
const std::string spelt_otherwise =
    R"json({"format_version":3,"model_id":"f669392486bdb601","created_at":"2026-01-02T03:04:05+00:00","labels":)json"
    R"json(["财经","a\"b","\u0001"],"text":{"max_tokens":24,"prepend_cls":false},"architecture":{"vocabulary_size)json"
    R"json(":10,"widths":[2,3],"filters":16,"ngrams":{"bucket_bits":8,"size":32}},"temperature":1.5,"precision")json"
    R"json(:{"costs":{"int8":{"accuracy_difference":-3e-4,"label_agreement":0.9994,"largest_logit_difference":0)json"
    R"json(.064321},"bf16":{"accuracy_difference":0,"label_agreement":1,"largest_logit_difference":0.007285}},")json"
    R"json(default":"bf16"},"metrics":{"dev":{"accuracy":0.925,"tiny":1e-6,"huge":1.5e20,"whole":3}},"training")json"
    R"json(:{"command":"kuaixun-trainer distil","seed":-20,"later":{"x":[1]},"versions":{"torch":"2.13"},"data")json"
    R"json(:[{"role":"train","name":"训.txt","rows":1,"sha256":"000000000000000000000000000000000000000000000000)json"
    R"json(0000000000000000"}]},"files":{"weights.safetensors":{"size_bytes":7,"sha256":"aaaaaaaaaaaaaaaaaaaaaa)json"
    R"json(aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"},"é":{"size_bytes":0,"sha256":"bbbbbbbbbbbbbbbbbbbbbbbbb)json"
    R"json(bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"}}})json";

std::string replaced(std::string text, const std::string& from, const std::string& to) {
  const std::size_t place = text.find(from);
  EXPECT_NE(place, std::string::npos) << from;
  return text.replace(place, from.size(), to);
}

TEST(Manifest, ReadsWhatPythonWroteAndFindsTheSameId) {
  for (const std::string& content : {written, spelt_otherwise}) {
    const Manifest manifest = parse_manifest(content);
    EXPECT_EQ(manifest.labels, (std::vector<std::string>{"财经", "a\"b", "\x01"}));
    EXPECT_EQ(manifest.text.max_raw_chars, 2048U);
    EXPECT_EQ(manifest.text.max_tokens, 24U);
    EXPECT_EQ(manifest.architecture.widths, (std::vector<std::size_t>{2, 3}));
    EXPECT_EQ(manifest.architecture.embedding_size, 200U);
    EXPECT_EQ(manifest.architecture.ngrams->orders, (std::vector<unsigned>{2, 3}));
    EXPECT_EQ(manifest.files.at("weights.safetensors").size_bytes, 7U);
    EXPECT_EQ(manifest.temperature, 1.5);
    EXPECT_EQ(manifest.default_precision, Precision::bf16);
  }
}

// Ids that Python computed: whether the member is there counts, unlike any other that has a default.
TEST(Manifest, WhetherEndsAreMarkedIsPartOfTheIdOnlyWhereItIsSaid) {
  EXPECT_FALSE(parse_manifest(written).text.append_cls);
  for (const auto& [value, id] :
       std::vector<std::pair<std::string, std::string>>{{"true", "5fc0b3194aa8e792"}, {"false", "3810dfc239ba85c5"}}) {
    const std::string content = replaced(replaced(written, "f669392486bdb601", id), "\"prepend_cls\":false",
                                         "\"prepend_cls\":false,\"append_cls\":" + value);
    EXPECT_EQ(parse_manifest(content).text.append_cls, value == "true");
  }
  EXPECT_THROW(parse_manifest(replaced(written, "\"prepend_cls\":false", "\"append_cls\":0")), FormatError);
}

TEST(Manifest, AnyAlterationIsNoticed) {
  for (const auto& [from, to] :
       std::vector<std::pair<std::string, std::string>>{{"0.925", "0.926"},
                                                        {"1e-6", "1e-7"},
                                                        {"\"default\":\"bf16\"", "\"default\":\"int8\""},
                                                        {"0.9994", "0.9995"},
                                                        {"财经", "财 经"},
                                                        {"2.13", "2.14"},
                                                        {"\"size_bytes\":7", "\"size_bytes\":8"},
                                                        {"\"size\":32", "\"size\":33"},
                                                        {"-20", "20"}}) {
    EXPECT_THROW(parse_manifest(replaced(written, from, to)), FormatError) << from;
  }
}

TEST(Manifest, WhatIsNoManifestIsRefused) {
  for (const auto& [from, to] :
       std::vector<std::pair<std::string, std::string>>{{"\"labels\"", "\"lables\""},
                                                        {"[2,3],\"filters\"", "[3,2],\"filters\""},
                                                        {"\"filters\":16", "\"filters\":0"},
                                                        {"\"filters\":16", "\"filters\":16.0"},
                                                        {"\"temperature\":1.5", "\"temperature\":0"},
                                                        {"\"temperature\":1.5", "\"temperature\":null"},
                                                        {"\"bf16\":{", "\"fp16\":{"},
                                                        {"\"max_tokens\":24", "\"max_tokens\":5000"},
                                                        {"\"max_tokens\":24", "\"max_tokens\":24,\"x\":1"}}) {
    EXPECT_THROW(parse_manifest(replaced(written, from, to)), FormatError) << from;
  }
  EXPECT_THROW(parse_manifest("[]"), FormatError);
}

// Hashes are checked last, so the reason tells that it was not the altered id.
TEST(Manifest, WhatCannotBeServedIsRefusedForThatWhateverItsHash) {
  for (const auto& [from, to, reason] : std::vector<std::array<std::string, 3>>{
           {"\"temperature\":1.5", "\"temperature\":1e-310", "temperature is out of range"},
           {"\"temperature\":1.5", "\"temperature\":0.0099", "temperature is out of range"},
           {"\"temperature\":1.5", "\"temperature\":100.1", "temperature is out of range"},
           {"\"default\":\"bf16\"", "\"default\":\"int4\"", "default precision is none of"},
           {"\"label_agreement\":0.9994", "\"label_agreement\":99.94", "label_agreement is out of range"},
           {"0.007285", "-0.007285", "largest_logit_difference is out of range"},
           {"\"orders\":[2,3]", "\"orders\":[]", "orders must be"},
           {"\"orders\":[2,3]", "\"orders\":[2,2]", "orders must be"},
           {"\"orders\":[2,3]", "\"orders\":[3,2]", "orders must be"},
           {"\"widths\":[2,3]", "\"widths\":[]", "widths must be"},
           {"\"vocabulary_size\":10,\"embedding_size\":200,\"widths\":[2,3],\"filters\":16",
            "\"vocabulary_size\":1048576,\"embedding_size\":200,\"widths\":[16],\"filters\":65536",
            "fold to 4400566243840 bytes"},
           {"\"vocabulary_size\":10,", "\"vocabulary_size\":257860,", "at most 536870912 can be served"},
           {"\"vocabulary_size\":10,", "\"vocabulary_size\":257859,", "does not hash"}}) {
    try {
      parse_manifest(replaced(written, from, to));
      FAIL() << to;
    } catch (const FormatError& error) {
      EXPECT_NE(std::string(error.what()).find(reason), std::string::npos) << to << ": " << error.what();
    }
  }
}

TEST(Manifest, AnotherFormatIsAnErrorOfItsOwn) {
  try {
    parse_manifest(R"({"format_version":4,"new":true})");
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::bundle_version);
  }
}

}  // namespace
}  // namespace kuaixun
