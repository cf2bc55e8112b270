#include "manifest.h"

#include <gtest/gtest.h>

#include <array>

#include "error.h"

namespace kuaixun {
namespace {

// Written by msgspec from schemas/manifest.py, which also computed the model_id.
const std::string written =
    R"json({"format_version":1,"model_id":"ebee4040542f7cf6","created_at":"2026-01-02T03:04:05+00:00","labels":)json"
    R"json(["财经","a\"b","\u0001"],"text":{"max_raw_chars":2048,"max_tokens":24,"prepend_cls":false},"architectu)json"
    R"json(re":{"vocabulary_size":10,"embedding_size":200,"widths":[2,3],"filters":16,"ngrams":{"orders":[2,3],)json"
    R"json("bucket_bits":8,"size":32}},"temperature":1.5,"metrics":{"dev":{"accuracy":0.925,"tiny":1e-6,"huge":)json"
    R"json(1.5e20,"whole":3.0}},"training":{"command":"kuaixun-trainer distil","seed":-20,"versions":{"torch":")json"
    R"json(2.13"},"data":[{"role":"train","name":"训.txt","rows":1,"sha256":"00000000000000000000000000000000000)json"
    R"json(00000000000000000000000000000"}]},"files":{"weights.safetensors":{"size_bytes":7,"sha256":"aaaaaaaaa)json"
    R"json(aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"},"é":{"size_bytes":0,"sha256":"bbbbbbbbbbbb)json"
    R"json(bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"}}})json";

// The same structure, hence the same id: defaults left out, an integer for a float, an unknown field where tolerated.
const std::string spelt_otherwise =
    R"json({"format_version":1,"model_id":"ebee4040542f7cf6","created_at":"2026-01-02T03:04:05+00:00","labels":)json"
    R"json(["财经","a\"b","\u0001"],"text":{"max_tokens":24,"prepend_cls":false},"architecture":{"vocabulary_size)json"
    R"json(":10,"widths":[2,3],"filters":16,"ngrams":{"bucket_bits":8,"size":32}},"temperature":1.5,"metrics":{)json"
    R"json("dev":{"accuracy":0.925,"tiny":1e-6,"huge":1.5e20,"whole":3}},"training":{"command":"kuaixun-trainer)json"
    R"json( distil","seed":-20,"later":{"x":[1]},"versions":{"torch":"2.13"},"data":[{"role":"train","name":"训.)json"
    R"json(txt","rows":1,"sha256":"0000000000000000000000000000000000000000000000000000000000000000"}]},"files")json"
    R"json(:{"weights.safetensors":{"size_bytes":7,"sha256":"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa)json"
    R"json(aaaaaaaaaaaaaa"},"é":{"size_bytes":0,"sha256":"bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb)json"
    R"json(bbbbbbbbbbb"}}})json";

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
  }
}

TEST(Manifest, AnyAlterationIsNoticed) {
  for (const auto& [from, to] :
       std::vector<std::pair<std::string, std::string>>{{"0.925", "0.926"},
                                                        {"1e-6", "1e-7"},
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
           {"\"orders\":[2,3]", "\"orders\":[]", "orders must be"},
           {"\"orders\":[2,3]", "\"orders\":[2,2]", "orders must be"},
           {"\"orders\":[2,3]", "\"orders\":[3,2]", "orders must be"},
           {"\"widths\":[2,3]", "\"widths\":[]", "widths must be"},
           {"\"vocabulary_size\":10,\"embedding_size\":200,\"widths\":[2,3],\"filters\":16",
            "\"vocabulary_size\":1048576,\"embedding_size\":200,\"widths\":[16],\"filters\":65536",
            "folds to more than"},
           {"\"vocabulary_size\":10,\"embedding_size\":200,\"widths\":[2,3],\"filters\":16",
            "\"vocabulary_size\":524288,\"embedding_size\":200,\"widths\":[1,3],\"filters\":257", "folds to more than"},
           {"\"vocabulary_size\":10,\"embedding_size\":200,\"widths\":[2,3],\"filters\":16",
            "\"vocabulary_size\":524288,\"embedding_size\":200,\"widths\":[1,3],\"filters\":256", "does not hash"}}) {
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
    parse_manifest(R"({"format_version":2,"new":true})");
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::bundle_version);
  }
}

}  // namespace
}  // namespace kuaixun
