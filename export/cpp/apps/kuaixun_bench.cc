// `kuaixun-bench`: how many texts per second go from UTF-8 to label, one line of JSON for each precision and batch
// size.
//
//   kuaixun-bench BUNDLE [SECONDS [THREADS]] < texts

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <iostream>
#include <string>
#include <string_view>
#include <vector>

#include "classifier.h"
#include "error.h"

namespace {

using Clock = std::chrono::steady_clock;

double seconds_since(Clock::time_point start) { return std::chrono::duration<double>(Clock::now() - start).count(); }

// Texts per second: the best of the passes over all texts that `seconds` allow, as what disturbs only ever slows.
template <typename Pass>
double best_rate(std::size_t texts, double seconds, const Pass& pass) {
  pass();
  double best = 0.0;
  const auto start = Clock::now();
  do {
    const auto pass_start = Clock::now();
    pass();
    best = std::max(best, static_cast<double>(texts) / seconds_since(pass_start));
  } while (seconds_since(start) < seconds);
  return best;
}

void report(const std::string& what, std::size_t batch, unsigned threads, double rate) {
  std::printf("{\"what\":\"%s\",\"batch\":%zu,\"threads\":%u,\"texts_per_second\":%.0f}\n", what.c_str(), batch,
              threads, rate);
  std::fflush(stdout);
}

void bench(const std::string& folder, double seconds, unsigned threads, const std::vector<std::string>& texts) {
  const std::vector<std::string_view> views(texts.begin(), texts.end());
  std::vector<std::int32_t> label_ids(texts.size());
  std::vector<double> confidences(texts.size());
  for (const auto precision : {kuaixun::Precision::int8, kuaixun::Precision::bf16, kuaixun::Precision::fp32}) {
    const kuaixun::Classifier classifier(folder, precision);
    if (precision == kuaixun::Precision::int8) {
      kuaixun::EncodingScratch scratch;
      std::vector<std::int32_t> ids(classifier.manifest().text.max_tokens);
      report("encode", 1, 1, best_rate(texts.size(), seconds, [&] {
               bool is_empty = false;
               for (const auto& text : views) {
                 classifier.pipeline().encode(text, kuaixun::Surrogates::replace, scratch, ids.data(), is_empty);
               }
             }));
    }
    const std::string name =
        std::string(kuaixun::precision_name(precision)) + " " + classifier.student().instruction_set();
    for (const std::size_t batch : {std::size_t{1}, std::size_t{1024}}) {
      report(name, batch, threads, best_rate(texts.size(), seconds, [&] {
               for (std::size_t begin = 0; begin < views.size(); begin += batch) {
                 const std::size_t count = std::min(batch, views.size() - begin);
                 classifier.classify(views.data() + begin, count, kuaixun::Surrogates::replace, threads,
                                     {label_ids.data() + begin, confidences.data() + begin, nullptr, nullptr});
               }
             }));
    }
  }
}

}  // namespace

int main(int count, char** arguments) {
  if (count < 2) {
    std::fputs("usage: kuaixun-bench BUNDLE [SECONDS [THREADS]] < texts\n", stderr);
    return 2;
  }
  std::vector<std::string> texts;
  for (std::string line; std::getline(std::cin, line);) texts.push_back(line);
  try {
    bench(arguments[1], count > 2 ? std::atof(arguments[2]) : 2.0,
          count > 3 ? static_cast<unsigned>(std::atoi(arguments[3])) : 1, texts);
  } catch (const kuaixun::Error& error) {
    std::fprintf(stderr, "kuaixun-bench: %s\n", error.what());
    return static_cast<int>(error.code());
  }
  return 0;
}
