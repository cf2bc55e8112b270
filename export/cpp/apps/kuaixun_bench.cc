// `kuaixun-bench`: how many texts per second go from UTF-8 to label, one line of JSON for each precision and batch
// size; and before them how fast one core reads memory that lies in its caches, which is what bounds the sums of rows.
//
//   kuaixun-bench BUNDLE [SECONDS [THREADS]] < texts
//
// Without a text it measures memory alone.

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <iostream>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "classifier.h"
#include "error.h"
#include "number_arguments.h"
#include "printable.h"

namespace {

using Clock = std::chrono::steady_clock;

double seconds_since(Clock::time_point start) { return std::chrono::duration<double>(Clock::now() - start).count(); }

// Things per second: the best of the passes over all of them that `seconds` allow, as what disturbs only ever slows.
template <typename Pass>
double best_rate(std::size_t things, double seconds, const Pass& pass) {
  pass();
  double best = 0.0;
  const auto start = Clock::now();
  do {
    const auto pass_start = Clock::now();
    pass();
    best = std::max(best, static_cast<double>(things) / seconds_since(pass_start));
  } while (seconds_since(start) < seconds);
  return best;
}

void report(const std::string& what, std::size_t batch, unsigned threads, double rate) {
  std::printf("{\"what\":\"%s\",\"batch\":%zu,\"threads\":%u,\"texts_per_second\":%.0f}\n", what.c_str(), batch,
              threads, rate);
  std::fflush(stdout);
}

// The tables' bytes are only ever read, so the bound is a loop that reads, in the widest registers there are.
#if defined(__x86_64__) && defined(__GLIBC__)
__attribute__((target_clones("avx512f", "avx2", "default")))
#endif
std::uint64_t
xor_of(const std::uint64_t* __restrict words, std::size_t count) {
  // As many sums at once as hide the latency of a load from the second level.
  constexpr std::size_t lane_count = 64;
  std::uint64_t lanes[lane_count] = {};
  for (std::size_t word = 0; word + lane_count <= count; word += lane_count) {
    for (std::size_t lane = 0; lane < lane_count; ++lane) lanes[lane] ^= words[word + lane];
  }
  std::uint64_t all = 0;
  for (const auto lane : lanes) all ^= lane;
  return all;
}

// Sizes that lie in the first, second and third level of today's server cores, the last about that of int8 tables.
void report_read_bandwidth(double seconds) {
  for (const std::size_t kibibytes : {32, 1024, 10240}) {
    const std::size_t bytes = kibibytes * 1024;
    const std::vector<std::uint64_t> words(bytes / sizeof(std::uint64_t), 1);
    volatile std::uint64_t sink = 0;
    // A pass long enough that reading the clock costs nothing beside it.
    const std::size_t repeats = 1 + (std::size_t{64} << 20) / bytes;
    const double rate = best_rate(bytes * repeats, seconds, [&] {
      for (std::size_t repeat = 0; repeat < repeats; ++repeat) sink = sink ^ xor_of(words.data(), words.size());
    });
    std::printf("{\"what\":\"read\",\"bytes\":%zu,\"bytes_per_second\":%.0f}\n", bytes, rate);
    std::fflush(stdout);
  }
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

struct Options {
  std::string bundle;
  double seconds = 2.0;
  unsigned threads = 1;
};

constexpr const char* usage = "usage: kuaixun-bench BUNDLE [SECONDS [THREADS]] < texts";

[[noreturn]] void refuse(const std::string& reason) {
  throw kuaixun::Error(kuaixun::ErrorCode::usage, reason + "; " + usage);
}

Options parse_options(int count, char** arguments) {
  if (count < 2 || count > 4) refuse("expected one to three arguments");
  Options options;
  options.bundle = arguments[1];
  if (count > 2) {
    const std::optional<double> seconds = kuaixun_apps::seconds_of(arguments[2]);
    if (!seconds) refuse(std::string("SECONDS ") + arguments[2] + ": expected " + kuaixun_apps::seconds_wanted);
    options.seconds = *seconds;
  }
  if (count > 3) {
    const std::optional<unsigned> threads = kuaixun_apps::threads_of(arguments[3]);
    if (!threads) refuse(std::string("THREADS ") + arguments[3] + ": expected " + kuaixun_apps::threads_wanted);
    options.threads = *threads;
  }
  return options;
}

}  // namespace

int main(int count, char** arguments) {
  try {
    if (count == 2 && (arguments[1] == std::string_view("--help") || arguments[1] == std::string_view("-h"))) {
      std::puts(usage);
      return 0;
    }
    const Options options = parse_options(count, arguments);
    std::vector<std::string> texts;
    const kuaixun::Classifier opened(options.bundle, kuaixun::Precision::int8);  // before anybody waits for figures
    for (std::string line; std::getline(std::cin, line);) texts.push_back(line);
    if (texts.empty()) std::fputs("kuaixun-bench: standard input holds no text, so memory alone is measured\n", stderr);
    report_read_bandwidth(options.seconds);
    if (!texts.empty()) bench(options.bundle, options.seconds, options.threads, texts);
  } catch (const kuaixun::Error& error) {
    std::fprintf(stderr, "kuaixun-bench: %s\n", kuaixun::printable(error.what()).c_str());
    return static_cast<int>(error.code());
  }
  return 0;
}
