// Golden cases: what the exporter's reference answered, which a student must answer again before it serves.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

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

// Whose answers are checked, of which bundle's cases, and how far a logit may lie from the recorded one.
struct GoldenAnswers {
  std::string engine;
  std::string folder;
  double tolerance;
};

// Raises GoldenError for a case whose cleaned text or token ids differ.
void check_golden_texts(const std::vector<GoldenCase>& cases, const TextPipeline& pipeline,
                        const GoldenAnswers& answers);

// Logits (cases, classes), answered `how`, such as "in a batch". Returns the largest difference. Raises GoldenError for
// a case whose logits differ by more than is tolerated, or give another label where the reference is not in two minds.
double check_golden_logits(const std::vector<GoldenCase>& cases, const std::vector<double>& logits,
                           const GoldenAnswers& answers, const char* how);

}  // namespace kuaixun
