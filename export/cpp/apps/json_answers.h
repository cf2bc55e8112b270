// What is printed of texts: a line of JSON each.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "classifier.h"

namespace kuaixun_apps {

// Labels and scores; label names are written as JSON strings once.
class JsonAnswers {
 public:
  explicit JsonAnswers(const kuaixun::Classifier& classifier);

  void append(const std::string_view* texts, std::size_t count, unsigned threads, std::string& out);

 private:
  void append_row(std::int32_t label_id, const double* scores, std::string& out) const;

  const kuaixun::Classifier& classifier_;
  std::vector<std::string> labels_;
  std::vector<std::int32_t> label_ids_;
  std::vector<double> scores_;
};

// The cleaned text and its token ids.
void append_dump(const kuaixun::Classifier& classifier, std::string_view text, std::string& out);

}  // namespace kuaixun_apps
