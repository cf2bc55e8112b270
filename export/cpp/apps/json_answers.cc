#include "json_answers.h"

#include <cmath>

#include "json_text.h"

namespace kuaixun_apps {
namespace {

void append_score(double score, std::string& out) {
  kuaixun::append_json_millionths(static_cast<int>(std::nearbyint(score * 1e6)), out);
}

}  // namespace

JsonAnswers::JsonAnswers(const kuaixun::Classifier& classifier) : classifier_(classifier) {
  for (const std::string& label : classifier.manifest().labels) {
    kuaixun::append_json_string(label, labels_.emplace_back());
  }
}

void JsonAnswers::append(const std::string_view* texts, std::size_t count, unsigned threads, std::string& out) {
  const std::size_t classes = labels_.size();
  label_ids_.resize(count);
  scores_.resize(count * classes);
  classifier_.classify(texts, count, kuaixun::Surrogates::replace, threads,
                       {label_ids_.data(), nullptr, scores_.data(), nullptr});
  for (std::size_t row = 0; row < count; ++row) append_row(label_ids_[row], scores_.data() + row * classes, out);
}

void JsonAnswers::append_row(std::int32_t label_id, const double* scores, std::string& out) const {
  if (label_id == kuaixun::no_label) {
    out.append("{\"label\":null,\"confidence\":0.0,\"scores\":{}}\n");
    return;
  }
  const auto label = static_cast<std::size_t>(label_id);
  out.append("{\"label\":").append(labels_[label]).append(",\"confidence\":");
  append_score(scores[label], out);
  out.append(",\"scores\":{");
  for (std::size_t c = 0; c < labels_.size(); ++c) {
    if (c > 0) out.push_back(',');
    out.append(labels_[c]).push_back(':');
    append_score(scores[c], out);
  }
  out.append("}}\n");
}

void append_dump(const kuaixun::Classifier& classifier, std::string_view text, std::string& out) {
  const kuaixun::TextPipeline& pipeline = classifier.pipeline();
  kuaixun::EncodingScratch scratch;
  std::string cleaned;
  pipeline.clean(text, kuaixun::Surrogates::replace, scratch, cleaned);
  std::vector<std::int32_t> ids(pipeline.parameters().max_tokens);
  bool is_empty = false;
  ids.resize(pipeline.encode(text, kuaixun::Surrogates::replace, scratch, ids.data(), is_empty));
  out.append("{\"cleaned\":");
  kuaixun::append_json_string(cleaned, out);
  out.append(",\"ids\":[");
  for (std::size_t i = 0; i < ids.size(); ++i) out.append(i > 0 ? "," : "").append(std::to_string(ids[i]));
  out.append("]}\n");
}

}  // namespace kuaixun_apps
