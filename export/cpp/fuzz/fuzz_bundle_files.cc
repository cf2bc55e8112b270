// Any bytes as each of a bundle's files: they are refused with an Error or a FormatError, or parsed, and then they
// serve a text beside other files that are sound; nothing else happens. The first byte chooses the file. No hash stands
// before a parser here, but the manifest's own, which is compared when all of it has been read.

#include <cstdint>
#include <string_view>
#include <vector>

#include "code_point_table.h"
#include "error.h"
#include "golden.h"
#include "json.h"
#include "manifest.h"
#include "patterns.h"
#include "safetensors.h"
#include "student.h"
#include "student_weights.h"
#include "text_pipeline.h"
#include "vocabulary.h"
#include "work.h"

namespace {

using kuaixun::Precision;

constexpr std::size_t classes = 2;
constexpr int files = 8;
constexpr std::string_view text = "A<b>\xE4\xB8\xAD &amp;&#98; www.a.cn/b\xE3\x80\x80x@a.cn";

// A narrow window and one whose int8 sums need 16 bits; vocabulary: PAD, UNK, CLS, a, b, 中.
const kuaixun::Architecture& architecture() {
  static const kuaixun::Architecture instance{6, 2, {1, 5}, 2, kuaixun::NgramBranch{{2, 3}, 2}};
  return instance;
}

const kuaixun::StudentWeights& sound_weights() {
  static const kuaixun::StudentWeights instance = [] {
    kuaixun::StudentWeights weights;
    weights.embedding = {0, 0, 1, -1, 0.5, 2, -2, 1, 3, 0.25, 1, 1};
    weights.convolutions = {{1, -1, 0.5, 2}, std::vector<float>(20, 0.25)};
    weights.biases = {{0.5, -0.5}, {1, 0}};
    weights.scales = {{0.0625, 0.125}, {0.25, 0.5}};
    weights.linear = {1, 2, -1, 0.5, -2, 1, 1, 0.25};
    weights.linear_bias = {0.125, -0.125};
    weights.ngram_steps = {127, 0, 0, 127, -127, 0, 0, -128};
    weights.ngram_scales = {0.0078125, 0.5};
    weights.ngram_owners = {1, 2, 3, -1};
    return weights;
  }();
  return instance;
}

const std::vector<char32_t>& sound_targets() {
  static const std::vector<char32_t> instance =
      kuaixun::parse_code_point_table("0000\t001F\t-\n0041\t005A\t0061\n3000\t3000\t0020\nD800\tDFFF\t-\n");
  return instance;
}

kuaixun::TextPipeline pipeline_of(std::vector<char32_t> targets, kuaixun::Patterns patterns,
                                  const std::vector<char32_t>& characters) {
  return {{100, 24, true}, std::move(targets), std::move(patterns), characters};
}

void encode(const kuaixun::TextPipeline& pipeline) {
  kuaixun::EncodingScratch scratch;
  kuaixun::Points cleaned;
  std::vector<std::int32_t> ids(pipeline.parameters().max_tokens);
  bool is_empty = false;
  pipeline.encode(text, kuaixun::Surrogates::replace, scratch, ids.data(), is_empty);
  pipeline.clean(text, kuaixun::Surrogates::replace, scratch, cleaned);
}

const kuaixun::Patterns& sound_patterns() {
  using kuaixun::PatternKind;
  static const kuaixun::Patterns instance{
      {PatternKind::entity, PatternKind::block_tag, PatternKind::tag, PatternKind::url}, {{"amp", '&'}}};
  return instance;
}

const std::vector<char32_t>& sound_characters() {
  static const std::vector<char32_t> instance = {'a', 'b', 0x4E2D};
  return instance;
}

void score(const kuaixun::StudentWeights& weights) {
  const std::vector<std::int32_t> ids = {2, 3, 1, 4, 5, 3, 4, 3};
  kuaixun::Student::Scratch scratch;
  std::vector<double> logits(classes);
  for (const Precision precision : {Precision::fp32, Precision::bf16, Precision::int8}) {
    const kuaixun::Student student(weights, architecture(), precision);
    for (std::size_t count = 0; count <= ids.size(); ++count) {
      const kuaixun::TokenIds tokens{ids.data(), count};
      student.logits(&tokens, 1, scratch, logits.data());
    }
  }
}

void check_golden(const std::vector<kuaixun::GoldenCase>& cases) {
  static const kuaixun::TextPipeline pipeline = pipeline_of(sound_targets(), sound_patterns(), sound_characters());
  static const kuaixun::Student student(sound_weights(), architecture(), Precision::int8);
  const kuaixun::GoldenAnswers answers{"native (int8)", "a folder", 0.5};
  kuaixun::check_golden_texts(cases, pipeline, answers);
  std::vector<double> logits(cases.size() * classes);
  kuaixun::Student::Scratch scratch;
  for (std::size_t row = 0; row < cases.size(); ++row) {
    const kuaixun::TokenIds tokens{cases[row].ids.data(), cases[row].ids.size()};
    student.logits(&tokens, 1, scratch, logits.data() + row * classes);
  }
  kuaixun::check_golden_logits(cases, logits, answers, "alone");
}

void read_and_use(int file, std::string_view content) {
  switch (file) {
    case 0:
      kuaixun::parse_manifest(content);
      break;
    case 1:
      kuaixun::read_safetensors(content);
      break;
    case 2:
      score(kuaixun::parse_student_weights(content, architecture(), classes));
      break;
    case 3:
      encode(pipeline_of(kuaixun::parse_code_point_table(content), sound_patterns(), sound_characters()));
      break;
    case 4: {
      const auto characters = kuaixun::parse_vocabulary(content);
      encode(pipeline_of(sound_targets(), sound_patterns(), characters));
      break;
    }
    case 5: {
      kuaixun::Points points;
      kuaixun::Points spare;
      for (const char byte : text) points.push_back(static_cast<unsigned char>(byte));
      kuaixun::apply_patterns(kuaixun::parse_patterns(content), points, spare);
      break;
    }
    case 6:
      check_golden(kuaixun::parse_golden(content, classes));
      break;
    default:
      kuaixun::Json::parse(content);
  }
}

}  // namespace

// Readers are linear: no file was seen to pass 80 edges for each of its bytes. Behind three of them a text pipeline is
// made, whose tables have an entry for every code point.
std::uint64_t kuaixun_fuzz::most_edges(const std::uint8_t* data, std::size_t size) {
  const int file = size == 0 ? 0 : data[0] % files;
  const std::uint64_t constant = file == 3 || file == 4 || file == 6 ? 50'000'000 : 200'000;
  return constant + 300 * size;
}

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  try {
    read_and_use(data[0] % files, {reinterpret_cast<const char*>(data) + 1, size - 1});
  } catch (const kuaixun::FormatError&) {
  } catch (const kuaixun::Error&) {
  }
  return 0;
}
