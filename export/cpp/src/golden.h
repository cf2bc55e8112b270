// Golden cases: what the exporter's reference answered, which a student must answer again before it serves.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "student.h"
#include "text_pipeline.h"

namespace kuaixun {

struct GoldenCase {
  std::string text;
  std::string cleaned;
  std::vector<std::int32_t> ids;
  std::vector<double> logits;
};

// Raises FormatError.
std::vector<GoldenCase> parse_golden(std::string_view content, std::size_t classes);

// Answers the cases one by one. Returns the largest logit difference. Raises GoldenError for a case whose cleaned text,
// ids or logits differ: by more than the precision is known to cost, or by another label where the reference is not in
// two minds.
double check_golden(const std::vector<GoldenCase>& cases, const TextPipeline& pipeline, const Student& student,
                    const std::string& folder);

// The same of logits (cases, classes) that were answered in one batch.
double check_golden_batch(const std::vector<GoldenCase>& cases, const std::vector<double>& logits, Precision precision,
                          const std::string& folder);

}  // namespace kuaixun
