// The C interface of kuaixun.h over the classes here: no exception leaves, every error becomes a code and a message.

#include <algorithm>
#include <exception>
#include <new>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "classifier.h"
#include "error.h"
#include "kuaixun/kuaixun.h"
#include "printable.h"

struct kuaixun_classifier {
  kuaixun::Classifier classifier;
};

static_assert(sizeof(kuaixun_text) == 2 * sizeof(void*), "a text is a pointer and a size");

namespace {

// As much of a message as there is room for, fit to be shown.
void tell(char* message, std::size_t message_size, std::string_view text) {
  if (message == nullptr || message_size == 0) return;
  *message = '\0';
  try {
    const std::string shown = kuaixun::printable(text);
    const std::string_view told = kuaixun::whole_characters(shown, message_size - 1);
    message[told.copy(message, told.size())] = '\0';
  } catch (const std::bad_alloc&) {  // the code must do
  }
}

// Runs `work`; the code says what it raised, if anything, and `message` why.
template <typename Work>
int guarded(char* message, std::size_t message_size, const Work& work) {
  int code = KUAIXUN_UNEXPECTED;
  try {
    work();
    return KUAIXUN_OK;
  } catch (const kuaixun::Error& error) {
    code = static_cast<int>(error.code());
    tell(message, message_size, error.what());
  } catch (const std::bad_alloc&) {
    code = KUAIXUN_ENGINE;
    tell(message, message_size, "there is not enough memory");
  } catch (const std::exception& error) {
    tell(message, message_size, error.what());
  }
  return code;
}

bool is_known(int surrogates) {
  return surrogates == KUAIXUN_SURROGATES_REPLACE || surrogates == KUAIXUN_SURROGATES_PASS;
}

kuaixun::Surrogates surrogates_of(int surrogates) {
  return surrogates == KUAIXUN_SURROGATES_PASS ? kuaixun::Surrogates::pass : kuaixun::Surrogates::replace;
}

bool is_missing(kuaixun_text text) { return text.bytes == nullptr && text.size > 0; }

std::string_view view_of(kuaixun_text text) { return {text.bytes, text.size}; }

}  // namespace

int kuaixun_open(const char* folder, int precision, kuaixun_classifier** opened, char* message, size_t message_size) {
  if (opened == nullptr) {
    tell(message, message_size, "there is no place for the classifier");
    return KUAIXUN_USAGE;
  }
  *opened = nullptr;
  if (folder == nullptr || *folder == '\0') {
    tell(message, message_size, "the bundle has no name");
    return KUAIXUN_USAGE;
  }
  return guarded(message, message_size, [&] {
    if (precision < KUAIXUN_DEFAULT_PRECISION || precision > KUAIXUN_INT8) {
      throw kuaixun::Error(kuaixun::ErrorCode::usage, "the precision " + std::to_string(precision) + " is unknown");
    }
    std::optional<kuaixun::Precision> chosen;
    if (precision != KUAIXUN_DEFAULT_PRECISION) chosen = static_cast<kuaixun::Precision>(precision);
    *opened = new kuaixun_classifier{kuaixun::Classifier(folder, chosen)};
  });
}

void kuaixun_close(kuaixun_classifier* classifier) { delete classifier; }

size_t kuaixun_classes(const kuaixun_classifier* classifier) {
  return classifier == nullptr ? 0 : classifier->classifier.manifest().labels.size();
}

kuaixun_text kuaixun_label(const kuaixun_classifier* classifier, size_t label_id) {
  if (classifier == nullptr) return {nullptr, 0};
  const auto& labels = classifier->classifier.manifest().labels;
  if (label_id >= labels.size()) return {nullptr, 0};
  return {labels[label_id].data(), labels[label_id].size()};
}

const char* kuaixun_model_id(const kuaixun_classifier* classifier) {
  return classifier == nullptr ? nullptr : classifier->classifier.manifest().model_id.c_str();
}

size_t kuaixun_max_tokens(const kuaixun_classifier* classifier) {
  return classifier == nullptr ? 0 : classifier->classifier.manifest().text.max_tokens;
}

size_t kuaixun_max_raw_chars(const kuaixun_classifier* classifier) {
  return classifier == nullptr ? 0 : classifier->classifier.manifest().text.max_raw_chars;
}

const char* kuaixun_instruction_set(const kuaixun_classifier* classifier) {
  return classifier == nullptr ? nullptr : classifier->classifier.student().instruction_set();
}

int kuaixun_classify(const kuaixun_classifier* classifier, const kuaixun_text* texts, size_t count, int surrogates,
                     unsigned threads, int32_t* label_ids, double* confidences, double* scores, double* logits) {
  if (classifier == nullptr || !is_known(surrogates) || (texts == nullptr && count > 0)) return KUAIXUN_USAGE;
  if (std::any_of(texts, texts + count, is_missing)) return KUAIXUN_USAGE;
  return guarded(nullptr, 0, [&] {
    std::vector<std::string_view> views(count);
    std::transform(texts, texts + count, views.begin(), view_of);
    classifier->classifier.classify(views.data(), count, surrogates_of(surrogates), threads,
                                    {label_ids, confidences, scores, logits});
  });
}

int kuaixun_logits(const kuaixun_classifier* classifier, const int32_t* ids, size_t count, size_t width,
                   unsigned threads, double* logits) {
  if (classifier == nullptr) return KUAIXUN_USAGE;
  if (count > 0 && (logits == nullptr || (ids == nullptr && width > 0))) return KUAIXUN_USAGE;
  return guarded(nullptr, 0, [&] { classifier->classifier.logits(ids, count, width, threads, logits); });
}

int kuaixun_encode(const kuaixun_classifier* classifier, kuaixun_text text, int surrogates, char* cleaned,
                   size_t* cleaned_bytes, int32_t* ids, size_t* id_count, size_t* characters) {
  if (classifier == nullptr || !is_known(surrogates) || is_missing(text)) return KUAIXUN_USAGE;
  if (cleaned_bytes == nullptr || id_count == nullptr || characters == nullptr) return KUAIXUN_USAGE;
  return guarded(nullptr, 0, [&] {
    const kuaixun::TextPipeline& pipeline = classifier->classifier.pipeline();
    kuaixun::EncodingScratch scratch;
    std::string utf8;
    const std::size_t left = pipeline.clean(view_of(text), surrogates_of(surrogates), scratch, utf8);
    std::vector<std::int32_t> encoded(pipeline.parameters().max_tokens);
    bool is_empty = false;
    *id_count = pipeline.encode(view_of(text), surrogates_of(surrogates), scratch, encoded.data(), is_empty);
    *cleaned_bytes = utf8.size();
    *characters = left;
    if (cleaned != nullptr) utf8.copy(cleaned, utf8.size());
    if (ids != nullptr) std::copy_n(encoded.begin(), *id_count, ids);
  });
}
