#include "student.h"

#include <algorithm>
#include <functional>

#include "arithmetic.h"
#include "vocabulary.h"

namespace kuaixun {
namespace {

// The hash of export/student/ngrams.py.
constexpr std::uint32_t multipliers[] = {0x9E3779B1, 0x85EBCA77, 0xC2B2AE3D, 0x27D4EB2F};
constexpr std::uint32_t finaliser = 0x2C1B3C6D;

constexpr int owner_shift = 17;

// More texts gain nothing, and a bundle's features and classes may be many more than anybody has use for.
constexpr std::size_t most_texts_together = 1024;
constexpr std::size_t most_bytes_together = std::size_t{6} << 20;

std::uint32_t finished_hash(std::uint32_t mixed) {
  mixed = (mixed ^ mixed >> 15) * finaliser;
  return mixed ^ mixed >> 12;
}

}  // namespace

Student::Student(const StudentWeights& weights, const Architecture& architecture, Precision precision,
                 const StudentKernel& kernel)
    : architecture_(architecture), kernel_(kernel), tables_(fold_student(weights, architecture, precision, kernel)) {
  const std::size_t text_bytes = std::max(tables_.features * sizeof(float), tables_.classes * sizeof(double));
  texts_together_ = std::clamp<std::size_t>(most_bytes_together / text_bytes, 1, most_texts_together);
  check_arithmetic(kernel);
}

void Student::hash_ngrams(TokenIds text, std::vector<std::uint32_t>& hashes) const {
  const auto [ids, count] = text;
  const std::uint32_t mask = (std::uint32_t{1} << architecture_.ngrams->bucket_bits) - 1;
  const std::int16_t* const owners = tables_.ngram_owners.data();
  hashes.resize(architecture_.ngrams->orders.size() * count);
  std::size_t found = 0;
  for (const unsigned order : architecture_.ngrams->orders) {
    for (std::size_t first = 0; first + order <= count; ++first) {
      std::uint32_t mixed = order * multipliers[3];
      for (unsigned place = 0; place < order; ++place) {
        mixed += static_cast<std::uint32_t>(ids[first + place]) * multipliers[place];
      }
      const std::uint32_t hash = finished_hash(mixed);
      __builtin_prefetch(owners + (hash & mask));
      hashes[found++] = hash;
    }
  }
  hashes.resize(found);
}

void Student::find_owned_buckets(std::vector<std::uint32_t>& hashes) const {
  const std::uint32_t mask = (std::uint32_t{1} << architecture_.ngrams->bucket_bits) - 1;
  const std::int16_t* const owners = tables_.ngram_owners.data();
  const auto* const rows = tables_.ngrams.as<std::int8_t>();
  // Whether a bucket is owned no branch predictor can tell, so there is none to mispredict.
  std::size_t owned = 0;
  for (const std::uint32_t hash : hashes) {
    const std::uint32_t bucket = hash & mask;
    const std::size_t is_owned = owners[bucket] == static_cast<std::int32_t>(hash >> owner_shift) ? 1 : 0;
    __builtin_prefetch(rows + (bucket * tables_.ngram_stride & (std::size_t{0} - is_owned)));
    hashes[owned] = bucket;
    owned += is_owned;
  }
  hashes.resize(owned);
}

void Student::add_ngrams(Scratch& scratch, double* out) const {
  const std::size_t stride = tables_.ngram_stride;
  scratch.ngram_steps.assign(stride, 0);
  kernel_.sum_int8(tables_.ngrams.as<std::int8_t>(), stride, scratch.buckets.data(), scratch.buckets.size(),
                   scratch.ngram_steps.data());
  for (std::size_t c = 0; c < tables_.classes; ++c) out[c] += tables_.ngram_scale[c] * scratch.ngram_steps[c];
}

template <typename Stored, typename Sum, typename Wanted>
void Student::pool(void (*pool_slice)(const Stored*, std::size_t, const TokenIds*, std::size_t, Sum*, std::size_t),
                   Wanted wanted, const TokenIds* texts, std::size_t count, std::vector<Sum>& maxima) const {
  static_assert(pad_id == 0, "where the kernel looks for it");
  for (const auto& [width, offset, feature_offset] : tables_.widths) {
    if (!wanted(width)) continue;
    maxima.resize(std::max(maxima.size(), count * tables_.features));
    const Stored* table = tables_.rows.as<Stored>() + offset * architecture_.vocabulary_size;
    for (std::size_t first = 0; first < tables_.filters; first += tables_.slice_filters) {
      pool_slice(table, width, texts, count, maxima.data() + feature_offset + first, tables_.features);
      table += architecture_.vocabulary_size * width * tables_.slice_filters;
    }
  }
}

void Student::logits(const TokenIds* texts, std::size_t count, Scratch& scratch, double* out) const {
  for (std::size_t first = 0; first < count; first += texts_together_) {
    logits_together(texts + first, std::min(texts_together_, count - first), scratch, out + first * classes());
  }
}

void Student::logits_together(const TokenIds* texts, std::size_t count, Scratch& scratch, double* out) const {
  pool_all(texts, count, scratch);
  // What n-grams read lies anywhere in megabytes. It is asked for early: owners a text ahead, rows in the last layer.
  if (architecture_.ngrams) hash_ngrams(texts[0], scratch.next_buckets);
  for (std::size_t row = 0; row < count; ++row, out += classes()) {
    std::copy(tables_.linear_bias.begin(), tables_.linear_bias.end(), out);
    if (architecture_.ngrams) {
      std::swap(scratch.buckets, scratch.next_buckets);
      if (row + 1 < count) hash_ngrams(texts[row + 1], scratch.next_buckets);
      find_owned_buckets(scratch.buckets);
    }
    if (texts[row].count == 0) continue;
    add_last_layer(row, scratch, out);
    if (architecture_.ngrams) add_ngrams(scratch, out);
  }
}

void Student::pool_all(const TokenIds* texts, std::size_t count, Scratch& scratch) const {
  const auto all = [](std::size_t) { return true; };
  switch (tables_.precision) {
    case Precision::int8:
      pool(kernel_.pool_narrow_int8, sums_in_int8, texts, count, scratch.narrow_maxima);
      return pool(kernel_.pool_int8, std::not_fn(sums_in_int8), texts, count, scratch.integer_maxima);
    case Precision::bf16:
      return pool(kernel_.pool_bfloat16, all, texts, count, scratch.maxima);
    case Precision::fp32:
      return pool(kernel_.pool_float, all, texts, count, scratch.maxima);
  }
}

void Student::add_last_layer(std::size_t row, Scratch& scratch, double* out) const {
  const std::size_t first = row * tables_.features;
  switch (tables_.precision) {
    case Precision::int8:
      return add_int8(row, scratch, out);
    case Precision::bf16:
      return add_float(kernel_.classify_float, tables_.single_linear, scratch.maxima.data() + first, scratch,
                       scratch.class_sums, out);
    case Precision::fp32:
      return add_float(kernel_.classify_double, tables_.linear, scratch.maxima.data() + first, scratch,
                       scratch.class_sums_double, out);
  }
}

void Student::add_int8(std::size_t row, Scratch& scratch, double* out) const {
  scratch.integer_features.resize(tables_.features);
  for (const auto& [width, table_offset, offset] : tables_.widths) {
    const std::size_t first = row * tables_.features + offset;
    const std::int16_t* const bias = tables_.integer_bias.data() + offset;
    std::int16_t* const features = scratch.integer_features.data() + offset;
    if (sums_in_int8(width)) {
      kernel_.activate_int8(scratch.narrow_maxima.data() + first, bias, tables_.filters, features);
    } else {
      kernel_.activate_int16(scratch.integer_maxima.data() + first, bias, tables_.filters, features);
    }
  }
  scratch.integer_class_sums.resize(tables_.classes);
  kernel_.classify_int16(scratch.integer_features.data(), tables_.integer_linear.data(), tables_.features,
                         tables_.classes, scratch.integer_class_sums.data());
  for (std::size_t c = 0; c < tables_.classes; ++c) {
    out[c] += tables_.linear_scale[c] * static_cast<double>(scratch.integer_class_sums[c]);
  }
}

template <typename T>
void Student::add_float(void (*classify)(const float*, const T*, std::size_t, std::size_t, T*),
                        const std::vector<T>& linear, const float* maxima, Scratch& scratch, std::vector<T>& class_sums,
                        double* out) const {
  scratch.features.resize(tables_.features);
  kernel_.activate_float(maxima, tables_.bias.data(), tables_.features, scratch.features.data());
  class_sums.resize(tables_.padded_classes);
  classify(scratch.features.data(), linear.data(), tables_.features, tables_.padded_classes, class_sums.data());
  for (std::size_t c = 0; c < tables_.classes; ++c) out[c] += static_cast<double>(class_sums[c]);
}

}  // namespace kuaixun
