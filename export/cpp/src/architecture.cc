#include "architecture.h"

#include "canonical_json.h"
#include "error.h"
#include "student_kernel.h"

namespace kuaixun {
namespace {

std::uint64_t round_up(std::uint64_t number, std::uint64_t multiple) {
  return (number + multiple - 1) / multiple * multiple;
}

std::string read_ngrams(const Json& json, NgramBranch& branch) {
  json.expect_only({"orders", "bucket_bits", "size"}, "ngrams");
  CanonicalObject canonical;
  const auto orders = ascending_or(json, "orders", {2, 3}, 1, 3);
  for (const std::int64_t order : orders) branch.orders.push_back(static_cast<unsigned>(order));
  canonical.member("orders", canonical_integers(orders));
  branch.bucket_bits = static_cast<unsigned>(positive(canonical, json, "bucket_bits", 17, 24));
  positive(canonical, json, "size", 32, unbounded);
  return canonical.text();
}

}  // namespace

std::string read_architecture(const Json& json, Architecture& architecture) {
  json.expect_only({"vocabulary_size", "embedding_size", "widths", "filters", "ngrams"}, "architecture");
  CanonicalObject canonical;
  architecture.vocabulary_size =
      static_cast<std::size_t>(checked(json.at("vocabulary_size"), "vocabulary_size", 4, 1 << 20));
  canonical.integer("vocabulary_size", static_cast<std::int64_t>(architecture.vocabulary_size));
  architecture.embedding_size = positive(canonical, json, "embedding_size", 200, 4096);
  architecture.filters = positive(canonical, json, "filters", 256, 1 << 16);
  const auto widths = ascending_or(json, "widths", {2, 3, 4}, 1, 16);
  for (const std::int64_t width : widths) architecture.widths.push_back(static_cast<std::size_t>(width));
  canonical.member("widths", canonical_integers(widths));
  const Json* ngrams = json.find("ngrams");
  if (ngrams == nullptr || ngrams->is_null()) {
    canonical.member("ngrams", "null");
  } else {
    canonical.member("ngrams", read_ngrams(*ngrams, architecture.ngrams.emplace()));
  }
  return canonical.text();
}

// None of the numbers can bring this near 64 bits.
std::uint64_t folded_bytes(const Architecture& architecture, std::size_t classes) {
  const std::uint64_t filters = round_up(architecture.filters, filter_padding);
  std::uint64_t row_elements = 0;
  for (const std::size_t width : architecture.widths) row_elements += width * filters;
  const std::uint64_t rows = architecture.vocabulary_size * row_elements * sizeof(float);
  const std::uint64_t embedding = architecture.vocabulary_size * architecture.embedding_size * sizeof(float);
  const std::uint64_t convolutions = architecture.embedding_size * row_elements * sizeof(double);
  const std::uint64_t linear =
      round_up(classes, class_padding) * architecture.widths.size() * filters * (sizeof(double) + sizeof(float));
  std::uint64_t ngrams = 0;
  if (architecture.ngrams) {
    ngrams = (round_up(classes, ngram_padding) + sizeof(std::int16_t)) << architecture.ngrams->bucket_bits;
  }
  return rows + embedding + convolutions + linear + ngrams;
}

void check_folded_bytes(const Architecture& architecture, std::size_t classes) {
  const std::uint64_t bytes = folded_bytes(architecture, classes);
  if (bytes > folded_limit_bytes) {
    throw FormatError("the student and its " + std::to_string(classes) + " labels fold to " + std::to_string(bytes) +
                      " bytes; at most " + std::to_string(folded_limit_bytes) + " can be served");
  }
}

}  // namespace kuaixun
