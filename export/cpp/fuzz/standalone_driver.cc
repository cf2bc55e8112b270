// Drives a fuzz target where libFuzzer is not: replays its corpus, then mutates it, and keeps what reaches an edge that
// nothing had reached. Takes those of libFuzzer's options that it needs, so that both are run by the same line.
//
//   fuzz_text [-runs=N] [-max_total_time=SECONDS] [-seed=N] [-max_len=BYTES] [-timeout=SECONDS] [-dict=FILE]
//             [-artifact_prefix=PREFIX] FOLDERS OR FILES
//
// An input is a finding as well where it takes more work than its target allows (work.h). Files are replayed, no more.
// With folders, and without -runs and -max_total_time, it runs until it is interrupted. An input lies in
// PREFIXcrash-PID before it is tried and is removed when all went well, so whatever kills the process leaves it there:
// name that file to replay it.

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <limits>
#include <map>
#include <stdexcept>

#include "mutations.h"
#include "work.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size);

namespace {

using kuaixun_fuzz::Generator;
using kuaixun_fuzz::Input;

constexpr std::size_t edge_slots = 1 << 16;
std::array<bool, edge_slots> edges_reached;
std::size_t edge_count = 0;
std::uint64_t edges_left = std::numeric_limits<std::uint64_t>::max();  // of those that this input may pass

}  // namespace

// Called on every edge of what was compiled with -fsanitize-coverage=trace-pc.
extern "C" void __sanitizer_cov_trace_pc() {
  // The distance to a function of this program: the same in every process, wherever it is loaded.
  const auto place = reinterpret_cast<std::uintptr_t>(__builtin_return_address(0)) -
                     reinterpret_cast<std::uintptr_t>(&LLVMFuzzerTestOneInput);
  bool& reached = edges_reached[(place * 0x9E3779B97F4A7C15U) >> 48];
  if (!reached) {
    reached = true;
    ++edge_count;
  }
  if (edges_left-- == 0) {
    std::fputs("the input takes more work than one of its size may\n", stderr);
    std::abort();
  }
}

namespace {

struct Options {
  std::uint64_t runs = std::numeric_limits<std::uint64_t>::max();
  std::uint64_t max_total_time = std::numeric_limits<std::uint32_t>::max();
  std::uint64_t seed = std::random_device()();
  std::uint64_t max_len = 0;  // none: 4096, or twice the longest of the corpus
  std::uint64_t timeout = 60;
  std::string dictionary;
  std::string artifact_prefix;
  std::vector<std::string> inputs;
};

Options parse_options(int argc, char** argv) {
  Options options;
  const std::map<std::string, std::uint64_t*> numbers = {{"-runs", &options.runs},
                                                         {"-max_total_time", &options.max_total_time},
                                                         {"-seed", &options.seed},
                                                         {"-max_len", &options.max_len},
                                                         {"-timeout", &options.timeout}};
  for (int i = 1; i < argc; ++i) {
    const std::string argument = argv[i];
    const std::size_t equals = argument.find('=');
    const std::string name = argument.substr(0, equals);
    const std::string value = equals == std::string::npos ? "" : argument.substr(equals + 1);
    if (name.empty() || name.front() != '-') {
      options.inputs.push_back(argument);
    } else if (const auto number = numbers.find(name); number != numbers.end()) {
      *number->second = std::stoull(value);
    } else if (name == "-dict") {
      options.dictionary = value;
    } else if (name == "-artifact_prefix") {
      options.artifact_prefix = value;
    } else {
      throw std::runtime_error("unknown option " + argument);
    }
  }
  const auto is_folder = [](const std::string& place) { return std::filesystem::is_directory(place); };
  if (std::none_of(options.inputs.begin(), options.inputs.end(), is_folder)) options.runs = 0;
  return options;
}

Input read_file(const std::filesystem::path& path) {
  std::ifstream file(path, std::ios::binary);
  if (!file) throw std::runtime_error(path.string() + " cannot be read");
  return {std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
}

// Sorted by name, so that the seed alone decides what is tried.
std::vector<Input> read_inputs(const std::vector<std::string>& places) {
  std::vector<Input> inputs;
  for (const std::string& place : places) {
    std::vector<std::filesystem::path> paths;
    if (std::filesystem::is_directory(place)) {
      for (const auto& entry : std::filesystem::directory_iterator(place)) paths.push_back(entry.path());
    } else {
      paths.emplace_back(place);
    }
    std::sort(paths.begin(), paths.end());
    std::transform(paths.begin(), paths.end(), std::back_inserter(inputs), read_file);
  }
  return inputs;
}

// The input that is being tried, on disk.
class Artifact {
 public:
  explicit Artifact(const std::string& prefix)
      : path_(prefix + "crash-" + std::to_string(getpid())),
        file_(open(path_.c_str(), O_CREAT | O_RDWR | O_TRUNC, 0644)) {
    if (file_ < 0) throw std::runtime_error(path_ + " cannot be written");
  }
  Artifact(const Artifact&) = delete;
  Artifact& operator=(const Artifact&) = delete;
  ~Artifact() {
    close(file_);
    std::filesystem::remove(path_);
  }
  void write(const Input& input) const {
    if (ftruncate(file_, static_cast<off_t>(input.size())) != 0 ||
        pwrite(file_, input.data(), input.size(), 0) != static_cast<ssize_t>(input.size())) {
      throw std::runtime_error(path_ + " cannot be written");
    }
  }

 private:
  std::string path_;
  int file_;
};

// Whether it reached an edge for the first time.
bool try_input(const Input& input, const Artifact& artifact, const Options& options) {
  artifact.write(input);
  alarm(static_cast<unsigned>(options.timeout));  // what hangs is killed
  const std::size_t before = edge_count;
  // On the heap and no longer than it is: the sanitizer sees the first byte read behind it.
  const std::vector<std::uint8_t> exact(input.begin(), input.end());
  edges_left = kuaixun_fuzz::most_edges(exact.data(), exact.size());
  [&exact]() noexcept { LLVMFuzzerTestOneInput(exact.data(), exact.size()); }();  // what it raises is a finding
  alarm(0);
  return edge_count > before;
}

void fuzz(const Options& options) {
  std::vector<Input> pool = read_inputs(options.inputs);
  if (pool.empty()) pool.emplace_back();
  const std::size_t seeds = pool.size();
  std::size_t longest = 2048;
  for (const Input& input : pool) longest = std::max(longest, input.size());
  const std::size_t limit_bytes = options.max_len == 0 ? 2 * longest : options.max_len;
  const std::vector<Input> dictionary =
      options.dictionary.empty() ? std::vector<Input>() : kuaixun_fuzz::read_dictionary(options.dictionary);
  Generator generator(options.seed);
  const Artifact artifact(options.artifact_prefix);
  std::printf("seed %llu, %zu inputs\n", static_cast<unsigned long long>(options.seed), pool.size());
  std::fflush(stdout);

  // What a target makes once, for all inputs, is no work of the first of them.
  LLVMFuzzerTestOneInput(nullptr, 0);
  const auto start = std::chrono::steady_clock::now();
  const auto limit = std::chrono::seconds(options.max_total_time);
  for (const Input& input : pool) try_input(input, artifact, options);
  std::printf("%zu edges reached by the corpus\n", edge_count);
  std::uint64_t run = 0;
  for (; run < options.runs && std::chrono::steady_clock::now() - start < limit; ++run) {
    // Every other time one of the seeds, which are few of each kind: what was found is mostly of one.
    const Input& input = pool[generator() % (run % 2 == 0 ? seeds : pool.size())];
    const Input& other = pool[generator() % pool.size()];
    Input next = kuaixun_fuzz::mutated(input, other, dictionary, limit_bytes, generator);
    if (try_input(next, artifact, options)) pool.push_back(std::move(next));
  }
  std::printf("%llu runs, %zu edges, %zu inputs: no finding\n", static_cast<unsigned long long>(run), edge_count,
              pool.size());
}

}  // namespace

int main(int argc, char** argv) {
  try {
    fuzz(parse_options(argc, argv));
    return 0;
  } catch (const std::exception& error) {
    std::fprintf(stderr, "%s: %s\n", argv[0], error.what());
    return 2;
  }
}
