#include "student_tables.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <string>

#include "error.h"
#include "half.h"
#include "in_threads.h"

namespace kuaixun {
namespace {

constexpr float int8_limit = 127.0F;
constexpr float int16_limit = 32767.0F;

std::size_t round_up(std::size_t number, std::size_t multiple) { return (number + multiple - 1) / multiple * multiple; }

StudentTables lay_out(const Architecture& architecture, std::size_t classes, Precision precision) {
  StudentTables tables;
  tables.precision = precision;
  tables.filters = round_up(architecture.filters, filter_padding);
  tables.element_bytes = precision == Precision::fp32 ? sizeof(float) : precision == Precision::bf16 ? 2 : 1;
  tables.slice_filters = slice_bytes / tables.element_bytes;
  tables.slices = tables.filters / tables.slice_filters;
  for (const std::size_t width : architecture.widths) {
    tables.widths.push_back({width, tables.row_elements, tables.features});
    tables.row_elements += width * tables.filters;
    tables.features += tables.filters;
  }
  tables.classes = classes;
  tables.padded_classes = round_up(classes, class_padding);
  return tables;
}

// Tokens that are folded together: few enough for their rows in single precision to stay in a core's own cache, and
// for pages that only a bundle's opening would touch not to be asked of the system; enough to be worth the weights that
// all of them are multiplied by.
constexpr std::size_t fold_tokens = 64;

// Weights as `fold` reads them: (row_elements / fold_columns, depth, fold_columns).
std::vector<double> lay_out_panels(const StudentWeights& weights, const Architecture& architecture,
                                   const StudentTables& tables) {
  const std::size_t depth = architecture.embedding_size;
  std::vector<double> panels(depth * tables.row_elements);
  for (std::size_t index = 0; index < tables.widths.size(); ++index) {
    const auto& [width, offset, feature_offset] = tables.widths[index];
    const float* from = weights.convolutions[index].data();  // (filters, depth, width)
    for (std::size_t filter = 0; filter < architecture.filters; ++filter) {
      const std::size_t slice = filter / tables.slice_filters;
      const std::size_t first = offset + slice * width * tables.slice_filters + filter % tables.slice_filters;
      for (std::size_t k = 0; k < depth; ++k) {
        for (std::size_t place = 0; place < width; ++place) {
          const std::size_t element = first + place * tables.slice_filters;
          const std::size_t panel = element / fold_columns;
          panels[(panel * depth + k) * fold_columns + element % fold_columns] = *from++;
        }
      }
    }
  }
  return panels;
}

// Calls finish(first, count, rows) for all tokens from `first` on, `count` at a time: rows (count, row_elements) in
// single precision, from a thread for each core at once. Products are summed in double precision, so that rounding them
// is all that can set two engines apart.
template <typename Finish>
void fold_rows_of(const StudentWeights& weights, const Architecture& architecture, const StudentTables& tables,
                  const StudentKernel& kernel, const Finish& finish) {
  const std::size_t depth = architecture.embedding_size;
  const std::vector<double> panels = lay_out_panels(weights, architecture, tables);
  in_threads(architecture.vocabulary_size, 0, [&](std::size_t begin, std::size_t end) {
    // Of a vocabulary smaller than a block, the widest rows allowed would take gigabytes that nobody reads.
    const std::size_t tokens = std::min(fold_tokens, round_up(end - begin, fold_rows));
    std::vector<double> embedding(tokens * depth);
    const std::size_t elements = tables.row_elements;
    std::vector<float> rows(tokens * elements);
    for (std::size_t first = begin; first < end; first += tokens) {
      const std::size_t count = std::min(tokens, end - first);
      std::copy_n(weights.embedding.data() + first * depth, count * depth, embedding.begin());
      // After the last tokens, what is left of the ones before fills up the rows that `fold` takes at a time.
      for (std::size_t column = 0; column < elements; column += fold_columns) {
        for (std::size_t token = 0; token < count; token += fold_rows) {
          kernel.fold(embedding.data() + token * depth, panels.data() + column * depth, depth,
                      rows.data() + token * elements + column, elements);
        }
      }
      finish(first, count, rows.data());
    }
  });
}

// For each element of a token's row, the feature that it is summed into.
std::vector<std::size_t> feature_of_element(const StudentTables& tables) {
  std::vector<std::size_t> features;
  for (const auto& table : tables.widths) {
    for (std::size_t slice = 0; slice < tables.slices; ++slice) {
      for (std::size_t i = 0; i < table.width * tables.slice_filters; ++i) {
        features.push_back(table.feature_offset + slice * tables.slice_filters + i % tables.slice_filters);
      }
    }
  }
  return features;
}

// The scale of each feature; filters that are padding have rows of zeros, for which any scale will do.
std::vector<float> lay_out_scales(const StudentTables& tables, const std::vector<std::vector<float>>& of_widths) {
  std::vector<float> scales(tables.features, 1.0F);
  for (std::size_t index = 0; index < of_widths.size(); ++index) {
    std::copy(of_widths[index].begin(), of_widths[index].end(),
              scales.begin() + static_cast<std::ptrdiff_t>(tables.widths[index].feature_offset));
  }
  return scales;
}

// Weights of integer features, with a scale for each class that lets no chunk of products overflow 32 bits.
void round_last_layer(StudentTables& tables, const std::vector<float>& scales) {
  std::vector<double> largest_feature(tables.features);
  for (std::size_t i = 0; i < tables.features; ++i) {
    const std::size_t width = tables.widths[i / tables.filters].width;
    const double largest_sum = int8_limit * static_cast<double>(sums_in_int8(width) ? 1 : width);
    largest_feature[i] = feature_steps * largest_sum + std::max<double>(0.0, tables.integer_bias[i]);
  }
  tables.integer_linear.resize(tables.classes * tables.features);
  for (std::size_t c = 0; c < tables.classes; ++c) {
    const double* linear = tables.linear.data() + c * tables.features;
    double scale = 0.0;
    for (std::size_t begin = 0; begin < tables.features; begin += classify_chunk) {
      double largest_sum = 0.0;
      double largest_rounding = 0.0;
      for (std::size_t i = begin; i < std::min(tables.features, begin + classify_chunk); ++i) {
        const double weight = std::fabs(linear[i]) * scales[i] / feature_steps;
        scale = std::max(scale, weight / int16_limit);
        largest_sum += weight * largest_feature[i];
        largest_rounding += 0.5 * largest_feature[i];
      }
      scale = std::max(scale, largest_sum / (std::numeric_limits<std::int32_t>::max() - largest_rounding));
    }
    tables.linear_scale.push_back(scale);
    if (scale == 0.0) continue;
    for (std::size_t i = 0; i < tables.features; ++i) {
      tables.integer_linear[c * tables.features + i] =
          static_cast<std::int16_t>(std::nearbyint(linear[i] * scales[i] / feature_steps / scale));
    }
  }
}

void round_biases(StudentTables& tables, const std::vector<float>& steps_per_unit) {
  for (std::size_t i = 0; i < tables.features; ++i) {
    const double steps = static_cast<double>(tables.bias[i]) * steps_per_unit[i] * feature_steps;
    tables.integer_bias.push_back(static_cast<std::int16_t>(std::nearbyint(steps)));
  }
}

void lay_out_last_layer(StudentTables& tables, const StudentWeights& weights, std::size_t filters) {
  tables.bias.assign(tables.features, 0.0F);
  const auto& biases = weights.biases;
  for (std::size_t index = 0; index < biases.size(); ++index) {
    std::copy(biases[index].begin(), biases[index].end(),
              tables.bias.begin() + static_cast<std::ptrdiff_t>(index * tables.filters));
  }
  tables.linear.assign(tables.padded_classes * tables.features, 0.0);
  for (std::size_t c = 0; c < tables.classes; ++c) {
    for (std::size_t index = 0; index < tables.widths.size(); ++index) {
      for (std::size_t filter = 0; filter < filters; ++filter) {
        tables.linear[c * tables.features + index * tables.filters + filter] =
            weights.linear[(c * tables.widths.size() + index) * filters + filter];
      }
    }
  }
  tables.linear_bias.assign(weights.linear_bias.begin(), weights.linear_bias.end());
}

void lay_out_ngrams(StudentTables& tables, const StudentWeights& weights) {
  const std::size_t classes = tables.classes;
  const std::size_t buckets = weights.ngram_steps.size() / classes;
  tables.ngram_stride = round_up(classes, ngram_padding);
  tables.ngram_scale.assign(weights.ngram_scales.begin(), weights.ngram_scales.end());
  tables.ngram_owners = weights.ngram_owners;
  tables.ngrams = HugeBuffer(buckets * tables.ngram_stride);
  for (std::size_t bucket = 0; bucket < buckets; ++bucket) {
    std::copy_n(weights.ngram_steps.data() + bucket * classes, classes,
                tables.ngrams.as<std::int8_t>() + bucket * tables.ngram_stride);
  }
}

// The rows of all tokens, in the precision of the tables, and what goes with them.
void lay_out_rows(StudentTables& tables, const StudentWeights& weights, const Architecture& architecture,
                  const StudentKernel& kernel) {
  const std::size_t vocabulary = architecture.vocabulary_size;
  tables.rows = HugeBuffer(vocabulary * tables.row_elements * tables.element_bytes);
  // Calls finish(from, count, element, to) for each run of a token in a slice: `element` is its place within the row of
  // its token, `to` the one in the tables.
  const auto fold = [&](const auto& finish) {
    fold_rows_of(weights, architecture, tables, kernel, [&](std::size_t first, std::size_t count, const float* rows) {
      for (const auto& table : tables.widths) {
        const std::size_t run = table.width * tables.slice_filters;
        for (std::size_t slice = 0; slice < tables.slices; ++slice) {
          const std::size_t element = table.offset + slice * run;
          for (std::size_t row = 0; row < count; ++row) {
            const std::size_t to = table.offset * vocabulary + (slice * vocabulary + first + row) * run;
            finish(rows + row * tables.row_elements + element, run, element, to);
          }
        }
      }
    });
  };
  if (tables.precision == Precision::fp32) {
    fold([&](const float* from, std::size_t count, std::size_t, std::size_t to) {
      std::copy_n(from, count, tables.rows.as<float>() + to);
    });
  } else if (tables.precision == Precision::bf16) {
    fold([&](const float* from, std::size_t count, std::size_t, std::size_t to) {
      std::transform(from, from + count, tables.rows.as<std::uint16_t>() + to, bfloat16_of_float);
    });
    tables.single_linear.assign(tables.linear.begin(), tables.linear.end());
  } else {
    const std::vector<float> scales = lay_out_scales(tables, weights.scales);
    std::vector<float> steps_per_unit;
    for (const float scale : scales) steps_per_unit.push_back(1.0F / scale);
    std::vector<float> steps_of_element;
    for (const std::size_t feature : feature_of_element(tables)) steps_of_element.push_back(steps_per_unit[feature]);
    fold([&](const float* from, std::size_t count, std::size_t element, std::size_t to) {
      kernel.round_int8(from, steps_of_element.data() + element, count, tables.rows.as<std::int8_t>() + to);
    });
    round_biases(tables, steps_per_unit);
    round_last_layer(tables, scales);
  }
}

}  // namespace

StudentTables fold_student(const StudentWeights& weights, const Architecture& architecture, Precision precision,
                           const StudentKernel& kernel) {
  const std::size_t classes = weights.linear_bias.size();
  try {
    check_folded_bytes(architecture, classes);
    StudentTables tables = lay_out(architecture, classes, precision);
    lay_out_last_layer(tables, weights, architecture.filters);
    lay_out_rows(tables, weights, architecture, kernel);
    if (!weights.ngram_steps.empty()) lay_out_ngrams(tables, weights);
    return tables;
  } catch (const FormatError& error) {
    throw Error(ErrorCode::engine, error.what());
  } catch (const std::bad_alloc&) {
    throw Error(ErrorCode::engine, "there is not enough memory for the folded tables of this student");
  }
}

}  // namespace kuaixun
