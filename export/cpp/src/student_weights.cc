#include "student_weights.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <map>
#include <string>

#include "error.h"
#include "half.h"
#include "printable.h"
#include "safetensors.h"

namespace kuaixun {
namespace {

class CheckedTensors {
 public:
  explicit CheckedTensors(std::string_view content) : tensors_(read_safetensors(content)) {}

  std::vector<float> take(const std::string& name, const std::vector<std::uint64_t>& shape) {
    const std::vector<std::uint16_t> halves = take_words(name, "F16", shape);
    std::vector<float> values(halves.size());
    std::transform(halves.begin(), halves.end(), values.begin(), float_of_half);
    if (!std::all_of(values.begin(), values.end(), [](float value) { return std::isfinite(value); })) {
      throw FormatError(name + " holds numbers that are not finite");
    }
    return values;
  }

  std::vector<float> take_singles(const std::string& name, const std::vector<std::uint64_t>& shape) {
    const std::string_view bytes = take_bytes(name, "F32", shape);
    std::vector<float> values(bytes.size() / sizeof(float));
    for (std::size_t i = 0; i < values.size(); ++i) {
      std::uint32_t bits = 0;
      for (std::size_t k = 0; k < sizeof(float); ++k) {
        bits |= std::uint32_t{static_cast<unsigned char>(bytes[sizeof(float) * i + k])} << 8 * k;
      }
      values[i] = float_of_bits(bits);
    }
    return values;
  }

  std::vector<float> take_scales(const std::string& name, const std::vector<std::uint64_t>& shape) {
    std::vector<float> scales = take(name, shape);
    if (!std::all_of(scales.begin(), scales.end(), [](float scale) { return scale > 0.0F; })) {
      throw FormatError(name + " holds what is no positive number");
    }
    return scales;
  }

  std::vector<std::int8_t> take_steps(const std::string& name, const std::vector<std::uint64_t>& shape) {
    const std::string_view bytes = take_bytes(name, "I8", shape);
    return {bytes.begin(), bytes.end()};
  }

  std::vector<std::int16_t> take_integers(const std::string& name, const std::vector<std::uint64_t>& shape) {
    const std::vector<std::uint16_t> words = take_words(name, "I16", shape);
    return {words.begin(), words.end()};
  }

  void expect_none_left() const {
    if (!tensors_.empty()) throw FormatError("the architecture has no tensor " + shortened(tensors_.begin()->first));
  }

 private:
  std::string_view take_bytes(const std::string& name, const char* dtype, const std::vector<std::uint64_t>& shape) {
    const auto found = tensors_.find(name);
    if (found == tensors_.end()) throw FormatError("the tensor " + name + " is missing");
    const Tensor tensor = found->second;
    tensors_.erase(found);
    if (tensor.dtype != dtype || tensor.shape != shape) {
      throw FormatError(name + " has another type or shape than the architecture's");
    }
    return tensor.bytes;
  }

  std::vector<std::uint16_t> take_words(const std::string& name, const char* dtype,
                                        const std::vector<std::uint64_t>& shape) {
    const std::string_view bytes = take_bytes(name, dtype, shape);
    std::vector<std::uint16_t> words(bytes.size() / 2);
    for (std::size_t i = 0; i < words.size(); ++i) {
      const auto low = static_cast<unsigned char>(bytes[2 * i]);
      const auto high = static_cast<unsigned char>(bytes[2 * i + 1]);
      words[i] = static_cast<std::uint16_t>(low | high << 8);
    }
    return words;
  }

  std::map<std::string, Tensor> tensors_;
};

// Steps (rows, columns) and a scale for each row → numbers (rows, columns), exactly: eleven bits by eight.
std::vector<float> scaled_rows(const std::vector<std::int8_t>& steps, const std::vector<float>& scales) {
  const std::size_t columns = steps.size() / scales.size();
  std::vector<float> numbers(steps.size());
  for (std::size_t i = 0; i < steps.size(); ++i) numbers[i] = static_cast<float>(steps[i]) * scales[i / columns];
  return numbers;
}

void check_scales(const std::string& name, const std::vector<float>& scales, const std::vector<float>& biases) {
  for (std::size_t filter = 0; filter < scales.size(); ++filter) {
    const float scale = scales[filter];
    // Of a smaller one the inverse, which rows are multiplied by, is no finite number.
    if (!std::isfinite(scale) || scale < std::numeric_limits<float>::min()) {
      throw FormatError(name + " holds what is no positive number");
    }
    if (std::fabs(double{biases[filter]}) > bias_limit_steps * double{scale}) {
      throw FormatError(name + " holds a scale that is too fine for the filter's bias");
    }
  }
}

}  // namespace

StudentWeights parse_student_weights(std::string_view content, const Architecture& architecture, std::size_t classes) {
  CheckedTensors tensors(content);
  StudentWeights weights;
  const std::size_t size = architecture.embedding_size;
  const std::size_t filters = architecture.filters;
  weights.embedding = scaled_rows(tensors.take_steps("embedding_steps", {architecture.vocabulary_size, size}),
                                  tensors.take_scales("embedding_scales", {architecture.vocabulary_size, 1}));
  for (const std::size_t width : architecture.widths) {
    const std::string name = "convolution_" + std::to_string(width);
    weights.convolutions.push_back(tensors.take(name, {filters, size, width}));
    weights.biases.push_back(tensors.take(name + "_bias", {filters}));
    weights.scales.push_back(tensors.take_singles(name + "_scales", {filters}));
    check_scales(name + "_scales", weights.scales.back(), weights.biases.back());
  }
  weights.linear = tensors.take("linear", {classes, architecture.widths.size() * filters});
  weights.linear_bias = tensors.take("linear_bias", {classes});
  if (architecture.ngrams) {
    const std::uint64_t buckets = std::uint64_t{1} << architecture.ngrams->bucket_bits;
    weights.ngram_steps = tensors.take_steps("ngram_steps", {buckets, classes});
    weights.ngram_scales = tensors.take_scales("ngram_scales", {1, classes});
    weights.ngram_owners = tensors.take_integers("ngram_owners", {buckets});
  }
  tensors.expect_none_left();
  const auto pad_row_end = weights.embedding.begin() + static_cast<std::ptrdiff_t>(size);
  if (std::any_of(weights.embedding.begin(), pad_row_end, [](float value) { return value != 0.0F; })) {
    throw FormatError("the embedding of PAD is not zero");
  }
  return weights;
}

}  // namespace kuaixun
