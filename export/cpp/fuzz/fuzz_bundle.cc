// A whole bundle, all of whose hashes agree, as its maker can see to: the manifest is read whatever id it bears, and
// the files behind it are held against it and against each other, folded, and answer their golden cases. An input is
// the manifest and the parsed files in the order below, with a byte between them that no text file holds.

#include <algorithm>
#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "bundle.h"
#include "error.h"
#include "file_names.h"
#include "student.h"
#include "work.h"

namespace {

constexpr char separator = '\x1E';
// The weights last, which may hold any byte.
constexpr const char* files[] = {kuaixun::code_points_file, kuaixun::golden_file, kuaixun::patterns_file,
                                 kuaixun::vocabulary_file, kuaixun::weights_file};
// Tables of the size that the limit allows take a second to fold, and no other code.
constexpr std::uint64_t most_folded_bytes = 1 << 20;
constexpr double tolerance = 0.5;

std::string_view take_until_separator(std::string_view& rest) {
  const std::string_view part = rest.substr(0, rest.find(separator));
  rest.remove_prefix(std::min(rest.size(), part.size() + 1));
  return part;
}

void check_golden(const kuaixun::Bundle& bundle, kuaixun::Precision precision) {
  const kuaixun::Student student(bundle.weights, bundle.manifest.architecture, precision);
  const kuaixun::GoldenAnswers answers{"native", bundle.folder, tolerance};
  check_golden_texts(bundle.golden, bundle.pipeline, answers);
  std::vector<double> logits(bundle.golden.size() * student.classes());
  kuaixun::Student::Scratch scratch;
  for (std::size_t row = 0; row < bundle.golden.size(); ++row) {
    const kuaixun::TokenIds text{bundle.golden[row].ids.data(), bundle.golden[row].ids.size()};
    student.logits(&text, 1, scratch, logits.data() + row * student.classes());
  }
  check_golden_logits(bundle.golden, logits, answers, "alone");
}

void open(std::string_view input) {
  kuaixun::Manifest manifest = kuaixun::parse_unsigned_manifest(take_until_separator(input));
  kuaixun::check_listed(manifest, kuaixun::manifest_file);
  if (kuaixun::folded_bytes(manifest.architecture, manifest.labels.size()) > most_folded_bytes) return;
  std::map<std::string, std::string> contents;
  for (const char* name : files) contents[name] = name == kuaixun::weights_file ? input : take_until_separator(input);
  const kuaixun::Bundle bundle = kuaixun::join_files("a folder", std::move(manifest), std::move(contents));
  for (const auto precision : {kuaixun::Precision::int8, kuaixun::Precision::bf16, kuaixun::Precision::fp32}) {
    check_golden(bundle, precision);
  }
}

}  // namespace

// A text pipeline has an entry for every code point, and a fold passes an edge for a few of its bytes.
std::uint64_t kuaixun_fuzz::most_edges(const std::uint8_t*, std::size_t size) { return 100'000'000 + 300 * size; }

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  try {
    open({reinterpret_cast<const char*>(data), size});
  } catch (const kuaixun::FormatError&) {
  } catch (const kuaixun::Error&) {
  }
  return 0;
}
