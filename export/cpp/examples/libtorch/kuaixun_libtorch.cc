// `kuaixun-libtorch`: labels standard input, one text per line, by the `student.pt` of a bundle and libtorch.
//
//     bytes → ids (this project's text pipeline) → logits (libtorch, CPU or CUDA) → label
//
// As every engine does, it answers the bundle's golden cases before it serves.

#include <torch/cuda.h>
#include <torch/script.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <fstream>
#include <iostream>
#include <iterator>
#include <optional>
#include <sstream>
#include <string>
#include <string_view>
#include <vector>

#include "bundle.h"
#include "error.h"
#include "file_names.h"
#include "golden.h"
#include "json_text.h"
#include "printable.h"
#include "sha256.h"

namespace {

using kuaixun::Error;
using kuaixun::ErrorCode;

constexpr const char* usage =
    "usage: kuaixun-libtorch --bundle DIR [--device cpu|cuda] [--golden]\n"
    "Labels standard input, one text per line, as JSON lines. --golden answers the golden cases and nothing else.\n";
constexpr std::size_t batch_texts = 1024;
// Single precision: other orders of addition, on other hardware; logits reach about ten.
constexpr double logit_tolerance = 1e-3;

// Logits (texts, classes) behind those that are there.
void append_to(std::vector<double>& rows, const torch::Tensor& logits) {
  const double* const begin = logits.const_data_ptr<double>();
  rows.insert(rows.end(), begin, begin + logits.numel());
}

class LibtorchStudent {
 public:
  LibtorchStudent(kuaixun::Bundle bundle, const torch::Device& device) : bundle_(std::move(bundle)), device_(device) {
    // TF32 would round the convolutions to ten bits.
    at::globalContext().setAllowTF32CuDNN(false);
    at::globalContext().setAllowTF32CuBLAS(false);
    const std::string path = bundle_.folder + "/" + kuaixun::torchscript_file;
    std::ifstream file(path, std::ios::binary);
    std::string content{std::istreambuf_iterator<char>(file), {}};
    if (kuaixun::sha256(content) != bundle_.manifest.files.at(kuaixun::torchscript_file).sha256) {
      throw Error(ErrorCode::bundle, path + " was altered since the bundle was read");
    }
    std::istringstream checked(std::move(content));
    try {
      module_ = torch::jit::load(checked, device_);
    } catch (const c10::Error& error) {
      throw Error(ErrorCode::bundle, path + " holds no student: " + error.what_without_backtrace());
    }
    module_.to(torch::kFloat);  // the file holds half precision and int8; engines compute in single
    module_.eval();
  }

  // Texts → token ids (texts, tokens) int64, padded with PAD to the longest; `is_empty` where nothing is left of one.
  torch::Tensor encode(const std::vector<std::string_view>& texts, std::vector<bool>& is_empty) const {
    std::vector<std::vector<std::int32_t>> rows;
    std::size_t tokens = 1;
    kuaixun::EncodingScratch scratch;
    for (const std::string_view text : texts) {
      std::vector<std::int32_t>& row = rows.emplace_back(bundle_.manifest.text.max_tokens);
      bool nothing_left = false;
      row.resize(bundle_.pipeline.encode(text, kuaixun::Surrogates::replace, scratch, row.data(), nothing_left));
      is_empty.push_back(nothing_left);
      tokens = std::max(tokens, row.size());
    }
    torch::Tensor ids = torch::zeros({static_cast<std::int64_t>(rows.size()), static_cast<std::int64_t>(tokens)},
                                     torch::kLong);  // (texts, tokens)
    std::int64_t* out = ids.mutable_data_ptr<std::int64_t>();
    for (const auto& row : rows) {
      std::copy(row.begin(), row.end(), out);
      out += tokens;
    }
    return ids;
  }

  // Token ids (texts, tokens) → logits (texts, classes) float64 on the CPU.
  torch::Tensor logits(const torch::Tensor& ids) {
    const c10::InferenceMode no_gradients;
    const torch::Tensor scores = module_.forward({ids.to(device_)}).toTensor();
    const auto classes = static_cast<std::int64_t>(bundle_.manifest.labels.size());
    if (scores.sizes() != torch::IntArrayRef({ids.size(0), classes})) {
      throw Error(ErrorCode::bundle,
                  bundle_.folder + "/" + kuaixun::torchscript_file + " does not score the manifest's labels");
    }
    return scores.to(torch::kCPU, torch::kDouble).contiguous();
  }

  // The largest logit difference over the golden cases, one by one and in a batch. Raises GoldenError where one
  // differs.
  double check_golden() {
    const std::vector<kuaixun::GoldenCase>& cases = bundle_.golden;
    const kuaixun::GoldenAnswers answers{"libtorch", bundle_.folder, logit_tolerance};
    check_golden_texts(cases, bundle_.pipeline, answers);
    std::vector<std::string_view> texts;
    std::vector<double> answered;
    std::vector<bool> is_empty;
    for (const auto& golden : cases) {
      append_to(answered, logits(encode({golden.text}, is_empty)));
      texts.push_back(golden.text);
    }
    const double alone = check_golden_logits(cases, answered, answers, "alone");
    answered.clear();
    append_to(answered, logits(encode(texts, is_empty)));
    return std::max(alone, check_golden_logits(cases, answered, answers, "in a batch"));
  }

  // One line of JSON a text: {"label":…,"logits":[…]}; no label where nothing is left of the text.
  std::string label(const std::vector<std::string_view>& texts) {
    std::vector<bool> is_empty;
    const torch::Tensor scores = logits(encode(texts, is_empty));  // (texts, classes)
    const auto classes = static_cast<std::size_t>(scores.size(1));
    const double* row = scores.const_data_ptr<double>();
    std::string out;
    for (std::size_t i = 0; i < texts.size(); ++i, row += classes) {
      out.append("{\"label\":");
      const auto best = static_cast<std::size_t>(std::max_element(row, row + classes) - row);
      if (is_empty[i]) {
        out.append("null");
      } else {
        kuaixun::append_json_string(bundle_.manifest.labels[best], out);
      }
      for (std::size_t c = 0; c < classes; ++c) {
        out.append(c == 0 ? ",\"logits\":[" : ",");
        kuaixun::append_json_number(row[c], out);
      }
      out.append("]}\n");
    }
    return out;
  }

 private:
  kuaixun::Bundle bundle_;
  torch::Device device_;
  torch::jit::Module module_;
};

struct Options {
  std::string bundle;
  std::string device = "cpu";
  bool golden_alone = false;
};

std::optional<Options> parse_options(int count, char** arguments) {
  Options options;
  for (int i = 1; i < count; ++i) {
    const std::string_view name = arguments[i];
    if (name == "--golden") {
      options.golden_alone = true;
    } else if (name == "--bundle" && i + 1 < count) {
      options.bundle = arguments[++i];
    } else if (name == "--device" && i + 1 < count) {
      options.device = arguments[++i];
    } else {
      return std::nullopt;
    }
  }
  if (options.bundle.empty() || (options.device != "cpu" && options.device != "cuda")) return std::nullopt;
  return options;
}

void label_standard_input(LibtorchStudent& student) {
  std::vector<std::string> lines;
  const auto answer = [&] {
    const std::vector<std::string_view> texts(lines.begin(), lines.end());
    if (!texts.empty()) std::cout << student.label(texts) << std::flush;
    if (!std::cout) throw Error(ErrorCode::usage, "standard output cannot be written");
    lines.clear();
  };
  for (std::string line; std::getline(std::cin, line);) {
    lines.push_back(std::move(line));
    // An answer does not wait for a batch that may never fill.
    if (lines.size() == batch_texts || std::cin.rdbuf()->in_avail() <= 0) answer();
  }
  answer();
}

void run(const Options& options) {
  if (options.device == "cuda" && !torch::cuda::is_available()) {
    throw Error(ErrorCode::engine, "libtorch finds no CUDA GPU; use --device cpu");
  }
  LibtorchStudent student(kuaixun::read_bundle(options.bundle), torch::Device(options.device));
  const double difference = student.check_golden();
  if (options.golden_alone) {
    std::cout << "golden cases on " << options.device << ": largest logit difference " << difference << '\n';
  } else {
    label_standard_input(student);
  }
  if (!std::cout.flush()) throw Error(ErrorCode::usage, "standard output cannot be written");
  if (std::cin.bad()) throw Error(ErrorCode::usage, "standard input cannot be read");
}

}  // namespace

int main(int count, char** arguments) {
  const std::optional<Options> options = parse_options(count, arguments);
  if (!options) {
    std::fputs(usage, stderr);
    return static_cast<int>(ErrorCode::usage);
  }
  std::ios::sync_with_stdio(false);
  try {
    run(*options);
  } catch (const Error& error) {
    std::fprintf(stderr, "kuaixun-libtorch: %s\n", kuaixun::printable(error.what()).c_str());
    return static_cast<int>(error.code());
  } catch (const std::exception& error) {
    std::fprintf(stderr, "kuaixun-libtorch: %s\n", kuaixun::printable(error.what()).c_str());
    return 70;
  }
  return 0;
}
