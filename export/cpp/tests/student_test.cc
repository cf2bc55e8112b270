#include "student.h"

#include <gtest/gtest.h>
#include <sys/resource.h>

#include <algorithm>
#include <cmath>
#include <random>

#include "arithmetic.h"
#include "error.h"

namespace kuaixun {
namespace {

struct Case {
  Architecture architecture;
  std::size_t classes;
};

// Filters that fill no vector, widths beyond those unrolled, classes beyond one n-gram vector, no n-grams at all, and a
// vocabulary that is folded in several blocks by several threads.
std::vector<Case> cases() {
  return {
      {{40, 12, {2, 3, 4}, 256, NgramBranch{{2, 3}, 8}}, 10},
      {{40, 7, {1, 5, 7}, 65, NgramBranch{{1, 3}, 4}}, 3},
      {{9, 1, {2}, 1, std::nullopt}, 2},
      {{30, 20, {3, 16}, 600, NgramBranch{{2}, 10}}, 37},
      {{1100, 5, {2}, 65, std::nullopt}, 3},
  };
}

std::vector<float> random_numbers(std::size_t count, float size, std::mt19937& generator) {
  std::normal_distribution<float> distribution(0.0F, size);
  std::vector<float> numbers(count);
  std::generate(numbers.begin(), numbers.end(), [&] { return distribution(generator); });
  return numbers;
}

std::vector<std::int32_t> random_ids(const Case& shape, std::size_t count, std::mt19937& generator) {
  std::uniform_int_distribution<std::int32_t> id(1, static_cast<std::int32_t>(shape.architecture.vocabulary_size) - 1);
  std::vector<std::int32_t> ids(count);
  std::generate(ids.begin(), ids.end(), [&] { return id(generator); });
  return ids;
}

std::uint64_t hash_by_definition(const std::int32_t* ids, unsigned order) {
  constexpr std::uint64_t multipliers[] = {0x9E3779B1, 0x85EBCA77, 0xC2B2AE3D, 0x27D4EB2F};
  constexpr std::uint64_t limit = std::uint64_t{1} << 32;
  std::uint64_t hash = order * multipliers[3];
  for (unsigned place = 0; place < order; ++place) hash += static_cast<std::uint64_t>(ids[place]) * multipliers[place];
  hash %= limit;
  hash = (hash ^ hash >> 15) * 0x2C1B3C6D % limit;
  return hash ^ hash >> 12;
}

// Of a filter, the value that its row of a token and place has.
double row_of(const Architecture& architecture, const StudentWeights& weights, std::size_t index, std::size_t token,
              std::size_t place, std::size_t filter) {
  const std::size_t size = architecture.embedding_size;
  double row = 0.0;
  for (std::size_t k = 0; k < size; ++k) {
    row += double{weights.embedding[token * size + k]} *
           weights.convolutions[index][(filter * size + k) * architecture.widths[index] + place];
  }
  return row;
}

// Scales at which no row and no sum of rows is cut off, as widest_scales of export/student/int8_rows.py.
void choose_widest_scales(const Architecture& architecture, StudentWeights& weights) {
  weights.scales.clear();
  for (std::size_t index = 0; index < architecture.widths.size(); ++index) {
    const std::size_t width = architecture.widths[index];
    std::vector<float>& scales = weights.scales.emplace_back();
    for (std::size_t filter = 0; filter < architecture.filters; ++filter) {
      double largest_row = 0.0;
      double largest_sum = 0.0;
      for (std::size_t place = 0; place < width; ++place) {
        double largest = 0.0;
        for (std::size_t token = 0; token < architecture.vocabulary_size; ++token) {
          largest = std::max(largest, std::fabs(row_of(architecture, weights, index, token, place, filter)));
        }
        largest_row = std::max(largest_row, largest);
        largest_sum += largest;
      }
      const double of_rows =
          width <= 4 ? largest_sum / (127.0 - 0.5 * static_cast<double>(width)) : largest_row / 127.0;
      const auto scale = static_cast<float>(std::max(of_rows, std::fabs(weights.biases[index][filter]) / 2046.0));
      scales.push_back(scale > 0.0F ? scale : 1.0F);
    }
  }
}

StudentWeights random_weights(const Case& shape, std::mt19937& generator) {
  const Architecture& architecture = shape.architecture;
  StudentWeights weights;
  weights.embedding = random_numbers(architecture.vocabulary_size * architecture.embedding_size, 1.0F, generator);
  std::fill_n(weights.embedding.begin(), architecture.embedding_size, 0.0F);
  for (const std::size_t width : architecture.widths) {
    weights.convolutions.push_back(
        random_numbers(architecture.filters * architecture.embedding_size * width, 0.1F, generator));
    weights.biases.push_back(random_numbers(architecture.filters, 0.3F, generator));
  }
  const std::size_t features = architecture.widths.size() * architecture.filters;
  weights.linear = random_numbers(shape.classes * features, 1.0F / std::sqrt(static_cast<float>(features)), generator);
  weights.linear_bias = random_numbers(shape.classes, 0.1F, generator);
  if (architecture.ngrams) {
    const std::size_t buckets = std::size_t{1} << architecture.ngrams->bucket_bits;
    std::uniform_int_distribution<int> step(-128, 127);
    weights.ngram_steps.resize(buckets * shape.classes);
    for (std::int8_t& cell : weights.ngram_steps) cell = static_cast<std::int8_t>(step(generator));
    for (std::size_t c = 0; c < shape.classes; ++c) weights.ngram_scales.push_back(0.001F * static_cast<float>(c + 1));
    weights.ngram_owners.assign(buckets, -1);
    // About half of all n-grams own their buckets.
    const std::vector<std::int32_t> ids = random_ids(shape, 4000, generator);
    for (const unsigned order : architecture.ngrams->orders) {
      for (std::size_t start = 0; start + order <= ids.size(); ++start) {
        const std::uint64_t hash = hash_by_definition(ids.data() + start, order);
        weights.ngram_owners[hash % buckets] = static_cast<std::int16_t>(hash >> 17);
      }
    }
  }
  choose_widest_scales(architecture, weights);
  return weights;
}

// The definition: convolution, bias, ReLU, maximum, linear, n-grams, one multiplication at a time.
std::vector<double> logits_by_definition(const Case& shape, const StudentWeights& weights,
                                         const std::vector<std::int32_t>& ids) {
  const auto& [vocabulary, size, widths, filters, ngrams] = shape.architecture;
  std::vector<double> logits(weights.linear_bias.begin(), weights.linear_bias.end());
  for (std::size_t index = 0; index < widths.size(); ++index) {
    for (std::size_t filter = 0; filter < filters; ++filter) {
      double feature = 0.0;
      for (std::size_t start = 0; start < ids.size(); ++start) {
        double sum = weights.biases[index][filter];
        for (std::size_t place = 0; place < widths[index] && start + place < ids.size(); ++place) {
          const float* embedded = weights.embedding.data() + static_cast<std::size_t>(ids[start + place]) * size;
          for (std::size_t k = 0; k < size; ++k) {
            sum += double{embedded[k]} * weights.convolutions[index][(filter * size + k) * widths[index] + place];
          }
        }
        feature = std::max(feature, sum);
      }
      for (std::size_t c = 0; c < shape.classes; ++c) {
        logits[c] += feature * weights.linear[(c * widths.size() + index) * filters + filter];
      }
    }
  }
  if (!ngrams) return logits;
  for (const unsigned order : ngrams->orders) {
    for (std::size_t start = 0; start + order <= ids.size(); ++start) {
      const std::uint64_t hash = hash_by_definition(ids.data() + start, order);
      const std::uint64_t bucket = hash % (std::uint64_t{1} << ngrams->bucket_bits);
      if (weights.ngram_owners[bucket] != static_cast<std::int64_t>(hash >> 17)) continue;
      for (std::size_t c = 0; c < shape.classes; ++c) {
        logits[c] += double{weights.ngram_scales[c]} * weights.ngram_steps[bucket * shape.classes + c];
      }
    }
  }
  return logits;
}

std::vector<double> logits_of(const Student& student, const std::vector<std::int32_t>& ids) {
  Student::Scratch scratch;
  std::vector<double> logits(student.classes());
  const TokenIds text{ids.data(), ids.size()};
  student.logits(&text, 1, scratch, logits.data());
  return logits;
}

std::vector<const StudentKernel*> kernels() {
  std::vector<const StudentKernel*> all(8);
  all.resize(student_kernels(all.data(), all.size()));
  return all;
}

TEST(Student, EveryPrecisionOnEveryInstructionSetComputesTheDefinition) {
  std::mt19937 generator(5);
  for (const Case& shape : cases()) {
    const StudentWeights weights = random_weights(shape, generator);
    std::vector<std::vector<std::int32_t>> texts;
    for (const std::size_t count : {0U, 1U, 2U, 3U, 5U, 16U, 32U, 100U}) {
      texts.push_back(random_ids(shape, count, generator));
    }
    for (const std::int32_t id : {63, 64, 511, 512, 549, 550, 1098, 1099}) {  // about the ends of blocks and of parts
      if (id < static_cast<std::int32_t>(shape.architecture.vocabulary_size)) texts.push_back({id, id});
    }
    for (const auto& [precision, tolerance] : std::vector<std::pair<Precision, double>>{
             {Precision::fp32, 1e-5}, {Precision::bf16, 0.05}, {Precision::int8, 0.1}}) {
      for (const auto& text : texts) {
        const auto expected = logits_by_definition(shape, weights, text);
        std::vector<double> first;
        for (const StudentKernel* kernel : kernels()) {
          const auto logits = logits_of(Student(weights, shape.architecture, precision, *kernel), text);
          for (std::size_t c = 0; c < expected.size(); ++c) {
            ASSERT_NEAR(logits[c], expected[c], tolerance)
                << kernel->instruction_set << " " << precision_name(precision) << " " << text.size();
          }
          // The same bits, whatever the processor.
          if (first.empty()) first = logits;
          ASSERT_EQ(logits, first) << kernel->instruction_set << " " << precision_name(precision);
        }
      }
    }
  }
}

// One more than are summed together, texts without tokens among them; the scratch has been larger before and smaller.
TEST(Student, ATextAmongManyHasTheBitsThatItHasAlone) {
  std::mt19937 generator(6);
  for (const Case& shape : cases()) {
    const StudentWeights weights = random_weights(shape, generator);
    for (const StudentKernel* kernel : kernels()) {
      for (const Precision precision : {Precision::fp32, Precision::bf16, Precision::int8}) {
        const Student student(weights, shape.architecture, precision, *kernel);
        std::vector<std::vector<std::int32_t>> ids;
        std::vector<TokenIds> texts;
        for (std::size_t i = 0; i < 15; ++i) ids.push_back(random_ids(shape, i % 7, generator));
        for (std::size_t i = 0; i < student.texts_together() + 1; ++i) {
          texts.push_back({ids[i % ids.size()].data(), ids[i % ids.size()].size()});
        }
        std::vector<std::vector<double>> alone;
        for (const auto& text : ids) alone.push_back(logits_of(student, text));
        Student::Scratch scratch;
        for (const std::size_t count : {texts.size(), std::size_t{3}, texts.size()}) {
          std::vector<double> logits(count * shape.classes, std::nan(""));
          student.logits(texts.data(), count, scratch, logits.data());
          for (std::size_t i = 0; i < count; ++i) {
            const auto first = logits.begin() + static_cast<std::ptrdiff_t>(i * shape.classes);
            const std::vector<double> among(first, first + static_cast<std::ptrdiff_t>(shape.classes));
            ASSERT_EQ(among, alone[i % ids.size()]) << i << " of " << count << " " << kernel->instruction_set;
          }
        }
      }
    }
  }
}

TEST(Student, NgramSumsBeyond16BitsAreExact) {
  std::mt19937 generator(9);
  const Case shape = cases()[0];
  StudentWeights weights = random_weights(shape, generator);
  std::fill(weights.ngram_steps.begin(), weights.ngram_steps.end(), std::int8_t{-128});
  // One bigram over and over, which owns its bucket.
  const std::vector<std::int32_t> ids(1000, 5);
  const std::uint64_t hash = hash_by_definition(ids.data(), 2);
  weights.ngram_owners[hash % weights.ngram_owners.size()] = static_cast<std::int16_t>(hash >> 17);
  const auto expected = logits_by_definition(shape, weights, ids);
  ASSERT_LT(expected[0], -0.001 * 65536);
  for (const StudentKernel* kernel : kernels()) {
    const auto logits = logits_of(Student(weights, shape.architecture, Precision::fp32, *kernel), ids);
    for (std::size_t c = 0; c < shape.classes; ++c) ASSERT_NEAR(logits[c], expected[c], 1e-5);
  }
}

TEST(Student, Int8HoldsNumbersOfAnySize) {
  std::mt19937 generator(6);
  Case shape = cases()[0];
  StudentWeights weights = random_weights(shape, generator);
  // A filter that does nothing, one that its bias rules, one of giant rows with tiny weights.
  const std::size_t depth = shape.architecture.embedding_size * 2;
  std::fill_n(weights.convolutions[0].begin(), depth, 0.0F);
  weights.biases[0][0] = 0.0F;
  std::fill_n(weights.convolutions[0].begin() + static_cast<std::ptrdiff_t>(depth), depth, 1e-7F);
  weights.biases[0][1] = 20.0F;
  for (std::size_t i = 0; i < depth; ++i) weights.convolutions[0][2 * depth + i] *= 1e4F;
  for (std::size_t c = 0; c < shape.classes; ++c) weights.linear[c * 3 * shape.architecture.filters + 2] *= 1e-4F;
  choose_widest_scales(shape.architecture, weights);
  const Student exact(weights, shape.architecture, Precision::fp32);
  const Student rounded(weights, shape.architecture, Precision::int8);
  for (int i = 0; i < 20; ++i) {
    const auto ids = random_ids(shape, 20, generator);
    const auto expected = logits_of(exact, ids);
    const auto logits = logits_of(rounded, ids);
    for (std::size_t c = 0; c < expected.size(); ++c) ASSERT_NEAR(logits[c], expected[c], 0.1);
  }
}

TEST(Student, Int8SumsStayInRangeWhereAllRowsAreAtTheirLargest) {
  std::mt19937 generator(7);
  const Case shape = cases()[0];
  StudentWeights weights = random_weights(shape, generator);
  // A token, and its opposite, beside which all others are small.
  const std::size_t size = shape.architecture.embedding_size;
  for (std::size_t k = 0; k < size; ++k) {
    weights.embedding[5 * size + k] = k % 2 == 0 ? 30.0F : -20.0F;
    weights.embedding[6 * size + k] = -weights.embedding[5 * size + k];
  }
  choose_widest_scales(shape.architecture, weights);
  const Student exact(weights, shape.architecture, Precision::fp32);
  const Student rounded(weights, shape.architecture, Precision::int8);
  for (int i = 0; i < 50; ++i) {
    std::vector<std::int32_t> ids = random_ids(shape, 8, generator);
    for (std::int32_t& id : ids) id = id % 2 == 0 ? 5 : 6;
    const auto expected = logits_of(exact, ids);
    const auto logits = logits_of(rounded, ids);
    for (std::size_t c = 0; c < expected.size(); ++c) ASSERT_NEAR(logits[c], expected[c], 1.0) << "of about 30";
  }
}

// What int8 makes of a feature, one addition at a time.
double int8_feature(const Architecture& architecture, const StudentWeights& weights, std::size_t index,
                    std::size_t filter, const std::vector<std::int32_t>& ids) {
  const std::size_t width = architecture.widths[index];
  const float scale = weights.scales[index][filter];
  const int highest_sum = width <= 4 ? 127 : 32767;
  int largest = -32768;
  for (std::size_t start = 0; start < ids.size(); ++start) {
    int sum = 0;
    for (std::size_t place = 0; place < width && start + place < ids.size(); ++place) {
      const auto row = static_cast<float>(
          row_of(architecture, weights, index, static_cast<std::size_t>(ids[start + place]), place, filter));
      sum += static_cast<int>(std::clamp(std::nearbyint(row * (1.0F / scale)), -127.0F, 127.0F));
      sum = std::clamp(sum, -highest_sum - 1, highest_sum);
    }
    largest = std::max(largest, sum);
  }
  const double bias = std::nearbyint(weights.biases[index][filter] / double{scale} * 8.0) / 8.0;
  return std::max(0.0, largest + bias) * scale;
}

TEST(Student, Int8RowsAndSumsBeyondTheScaleSaturateOnEveryInstructionSet) {
  std::mt19937 generator(8);
  for (const Case& shape : cases()) {
    const Architecture& architecture = shape.architecture;
    StudentWeights weights = random_weights(shape, generator);
    weights.ngram_owners.assign(weights.ngram_owners.size(), -1);
    // From scales that cut off nothing to some that cut off nearly all.
    for (std::size_t index = 0; index < weights.scales.size(); ++index) {
      for (std::size_t filter = 0; filter < architecture.filters; ++filter) {
        float& scale = weights.scales[index][filter];
        scale *= std::pow(0.6F, static_cast<float>(filter % 8));
        scale = std::max(scale, std::fabs(weights.biases[index][filter]) / 2046.0F);
      }
    }
    const auto ids = random_ids(shape, 12, generator);
    std::vector<double> expected(weights.linear_bias.begin(), weights.linear_bias.end());
    for (std::size_t index = 0; index < architecture.widths.size(); ++index) {
      for (std::size_t filter = 0; filter < architecture.filters; ++filter) {
        const double feature = int8_feature(architecture, weights, index, filter, ids);
        for (std::size_t c = 0; c < shape.classes; ++c) {
          expected[c] +=
              feature * weights.linear[(c * architecture.widths.size() + index) * architecture.filters + filter];
        }
      }
    }
    for (const StudentKernel* kernel : kernels()) {
      const auto logits = logits_of(Student(weights, architecture, Precision::int8, *kernel), ids);
      for (std::size_t c = 0; c < shape.classes; ++c) {
        ASSERT_NEAR(logits[c], expected[c], 1e-2) << kernel->instruction_set << " " << architecture.filters;
      }
    }
  }
}

TEST(Student, ABuildThatRoundsOtherwiseNeverServes) {
  const StudentKernel* kernels[8];
  const std::size_t count = student_kernels(kernels, 8);
  for (std::size_t i = 0; i < count; ++i) EXPECT_NO_THROW(check_arithmetic(*kernels[i])) << kernels[i]->instruction_set;

  StudentKernel truncates = student_kernel();
  truncates.round_int8 = [](const float* rows, const float* steps_per_unit, std::size_t length, std::int8_t* out) {
    for (std::size_t i = 0; i < length; ++i) {
      out[i] = static_cast<std::int8_t>(std::clamp(rows[i] * steps_per_unit[i], -127.0F, 127.0F));
    }
  };
  const Case shape = cases().front();
  std::mt19937 generator(20);
  const StudentWeights weights = random_weights(shape, generator);
  EXPECT_NO_THROW(Student(weights, shape.architecture, Precision::int8));
  EXPECT_THROW(Student(weights, shape.architecture, Precision::int8, truncates), Error);
}

TEST(Student, TablesBeyondReasonAreRefused) {
  StudentWeights weights;
  weights.linear_bias = {0.0F, 0.0F};
  const Architecture architecture{1 << 20, 1, {16}, 1 << 16, std::nullopt};
  EXPECT_THROW(fold_student(weights, architecture, Precision::int8, student_kernel()), Error);
}

// The most memory that this process has held.
std::size_t peak_bytes() {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  return static_cast<std::size_t>(usage.ru_maxrss) * 1024;
}

TEST(Student, FoldingTheWidestRowsOfTheSmallestVocabularyTakesFewTimesTheirMemory) {
#if defined(__SANITIZE_THREAD__)
  GTEST_SKIP() << "this sanitizer takes several times the memory itself";
#endif
  constexpr std::size_t vocabulary = 4;
  constexpr std::size_t width = 16;
  constexpr std::size_t filters = 1 << 16;
  StudentWeights weights;
  weights.embedding = std::vector<float>(vocabulary, 0.5F);
  weights.convolutions = {std::vector<float>(filters * width, 0.5F)};
  weights.biases = {std::vector<float>(filters)};
  weights.scales = {std::vector<float>(filters, 1.0F)};
  weights.linear = std::vector<float>(2 * filters);
  weights.linear_bias = {0.0F, 0.0F};
  const std::size_t before = peak_bytes();
  fold_student(weights, {vocabulary, 1, {width}, filters, std::nullopt}, Precision::fp32, student_kernel());
  EXPECT_LT(peak_bytes() - before, 6 * vocabulary * filters * width * sizeof(float));
}

}  // namespace
}  // namespace kuaixun
