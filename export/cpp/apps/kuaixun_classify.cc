// `kuaixun-classify`: one text per line in, one JSON object per line out, in order, as the lines arrive: the same bytes
// as `kuaixun-export classify` writes.

#include <poll.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cmath>
#include <csignal>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <exception>
#include <new>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "classifier.h"
#include "error.h"
#include "json_text.h"
#include "printable.h"

namespace {

using kuaixun::Classifier;
using kuaixun::Precision;

constexpr std::size_t read_bytes = 1 << 18;
constexpr std::size_t batch_lines = 1024;
constexpr std::size_t utf8_bytes_per_character = 4;
constexpr const char* usage =
    "usage: kuaixun-classify --bundle DIR [--precision auto|int8|bf16|fp32] [--threads N] [--dump | --golden]\n"
    "       kuaixun-classify -h | --help | --version\n"
    "Labels standard input, one text per line, as JSON lines. --dump prints cleaned texts and token ids instead;\n"
    "--golden reads nothing and prints how far the bundle's golden cases are met.\n";
constexpr unsigned long threads_limit = 1024;

struct Options {
  std::string bundle;
  std::optional<Precision> precision;  // nothing: the one that the manifest names
  unsigned threads = 1;
  bool dump = false;
  bool golden_alone = false;
};

[[noreturn]] void refuse(const std::string& reason) {
  throw kuaixun::Error(kuaixun::ErrorCode::usage, reason + ". See kuaixun-classify --help.");
}

void set_option(Options& options, const std::string& name, const char* value) {
  if (name == "--bundle") {
    if (*value == '\0') refuse("--bundle: the name is empty");
    options.bundle = value;
  } else if (name == "--precision") {
    options.precision = kuaixun::precision_named(value);
    if (!options.precision && value != std::string_view("auto")) {
      refuse("--precision " + std::string(value) + ": choose auto, int8, bf16 or fp32");
    }
  } else {
    char* end = nullptr;
    const unsigned long threads = std::strtoul(value, &end, 10);
    if (*value < '0' || *value > '9' || *end != '\0' || threads < 1 || threads > threads_limit) {
      refuse("--threads " + std::string(value) + ": expected a whole number from 1 to " +
             std::to_string(threads_limit));
    }
    options.threads = static_cast<unsigned>(threads);
  }
}

bool takes_value(const std::string& name) { return name == "--bundle" || name == "--precision" || name == "--threads"; }

Options parse_options(int count, char** arguments) {
  Options options;
  for (int i = 1; i < count; ++i) {
    const std::string name = arguments[i];
    if (name == "--dump") {
      options.dump = true;
    } else if (name == "--golden") {
      options.golden_alone = true;
    } else if (const std::size_t equals = name.find('='); takes_value(name.substr(0, equals))) {
      if (equals == std::string::npos && ++i == count) refuse(name + ": expected one argument");
      set_option(options, name.substr(0, equals),
                 equals == std::string::npos ? arguments[i] : name.c_str() + equals + 1);
    } else {
      refuse("unrecognized argument: " + name);
    }
  }
  if (options.bundle.empty()) refuse("--bundle is required");
  if (options.dump && options.golden_alone) refuse("--golden reads no text that --dump could print");
  return options;
}

// What `--help` and `--version` print, wherever they stand; nothing where neither does.
const char* asked_for(int count, char** arguments) {
  for (int i = 1; i < count; ++i) {
    const std::string_view argument = arguments[i];
    if (argument == "--help" || argument == "-h") return usage;
    if (argument == "--version") return "kuaixun-classify " KUAIXUN_VERSION "\n";
  }
  return nullptr;
}

// Whether a read or write that failed can be tried again: now, or on a stream that does not block when it is ready.
bool may_go_on(int descriptor, short event) {
  if (errno == EINTR) return true;
  if (errno != EAGAIN && errno != EWOULDBLOCK) return false;
  pollfd stream{descriptor, event, 0};
  return ::poll(&stream, 1, -1) > 0 || errno == EINTR;
}

// Lines as they arrive. A line ends at a newline byte and nowhere else; a last one without it counts. What the pipeline
// would not read of a long line is not kept.
class ArrivingLines {
 public:
  ArrivingLines(std::size_t limit_bytes, std::size_t wanted)
      : limit_bytes_(limit_bytes), wanted_(wanted), block_(read_bytes, '\0') {}

  // Whole lines: what one read brought to an end, and where more input is there already, what further ones do, until
  // there are as many as wanted. Nothing at the end of the input. They last until the next call.
  std::vector<std::string_view> next() {
    finished_.clear();
    ends_.clear();
    while (!ended_ && (ends_.empty() || (ends_.size() < wanted_ && more_is_there()))) {
      const ssize_t got = ::read(STDIN_FILENO, block_.data(), block_.size());
      if (got < 0 && may_go_on(STDIN_FILENO, POLLIN)) continue;
      if (got < 0) throw kuaixun::Error(kuaixun::ErrorCode::usage, std::string("cannot read: ") + std::strerror(errno));
      if (got == 0) {
        ended_ = true;
        if (!pending_.empty()) finish({});
        break;
      }
      split(std::string_view(block_.data(), static_cast<std::size_t>(got)));
    }
    std::vector<std::string_view> lines;
    lines.reserve(ends_.size());
    std::size_t begin = 0;
    for (const std::size_t end : ends_) {
      lines.emplace_back(finished_.data() + begin, end - begin);
      begin = end;
    }
    return lines;
  }

 private:
  // Whether a read would return at once; at the end of the input it does.
  static bool more_is_there() {
    pollfd input{STDIN_FILENO, POLLIN, 0};
    return ::poll(&input, 1, 0) > 0;
  }

  void split(std::string_view block) {
    for (std::size_t end = block.find('\n'); end != std::string_view::npos; end = block.find('\n')) {
      finish(block.substr(0, end));
      block.remove_prefix(end + 1);
    }
    pending_.append(block.substr(0, limit_bytes_ - pending_.size()));
  }

  // Ends the line that is pending with its last part.
  void finish(std::string_view rest) {
    finished_.append(pending_).append(rest.substr(0, limit_bytes_ - pending_.size()));
    ends_.push_back(finished_.size());
    pending_.clear();
  }

  std::size_t limit_bytes_;
  std::size_t wanted_;
  std::string block_;
  std::string pending_;            // at most limit_bytes_ of a line that has not ended
  std::string finished_;           // the lines that have, one after the other
  std::vector<std::size_t> ends_;  // of each of them
  bool ended_ = false;
};

// Label names as JSON strings, each written once.
class Answers {
 public:
  explicit Answers(const Classifier& classifier) : classifier_(classifier) {
    for (const std::string& label : classifier.manifest().labels) {
      kuaixun::append_json_string(label, labels_.emplace_back());
    }
  }

  void append(const std::string_view* texts, std::size_t count, unsigned threads, std::string& out) {
    const std::size_t classes = labels_.size();
    label_ids_.resize(count);
    scores_.resize(count * classes);
    classifier_.classify(texts, count, kuaixun::Surrogates::replace, threads,
                         {label_ids_.data(), nullptr, scores_.data(), nullptr});
    for (std::size_t row = 0; row < count; ++row) append_row(label_ids_[row], scores_.data() + row * classes, out);
  }

 private:
  void append_row(std::int32_t label_id, const double* scores, std::string& out) const {
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

  static void append_score(double score, std::string& out) {
    kuaixun::append_json_millionths(static_cast<int>(std::nearbyint(score * 1e6)), out);
  }

  const Classifier& classifier_;
  std::vector<std::string> labels_;
  std::vector<std::int32_t> label_ids_;
  std::vector<double> scores_;
};

void append_dump(const Classifier& classifier, std::string_view text, std::string& out) {
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

// Writes all of it to standard output; false where the reader went away.
bool write_out(std::string_view text) {
  while (!text.empty()) {
    const ssize_t written = ::write(STDOUT_FILENO, text.data(), text.size());
    if (written < 0 && errno == EPIPE) return false;
    if (written < 0 && may_go_on(STDOUT_FILENO, POLLOUT)) continue;
    if (written < 0) {
      throw kuaixun::Error(kuaixun::ErrorCode::usage, std::string("cannot write: ") + std::strerror(errno));
    }
    text.remove_prefix(static_cast<std::size_t>(written));
  }
  return true;
}

// Of a classifier that has opened, hence passed them.
std::string golden_report(const Classifier& classifier) {
  const kuaixun::Student& student = classifier.student();
  std::string text = std::string("golden cases on native (") + kuaixun::precision_name(student.precision()) + ", " +
                     student.instruction_set() + "): largest logit difference ";
  kuaixun::append_json_number(classifier.golden_difference(), text);
  return text + "\n";
}

void run(const Options& options) {
  const Classifier classifier(options.bundle, options.precision);
  if (options.golden_alone) {
    write_out(golden_report(classifier));
    return;
  }
  Answers answers(classifier);
  // With more threads, batches large enough to be worth sharing out.
  const std::size_t batch = batch_lines * options.threads;
  ArrivingLines arriving(classifier.manifest().text.max_raw_chars * utf8_bytes_per_character, batch);
  std::string out;
  for (auto lines = arriving.next(); !lines.empty(); lines = arriving.next()) {
    for (std::size_t begin = 0; begin < lines.size(); begin += batch) {
      const std::size_t count = std::min(batch, lines.size() - begin);
      out.clear();
      if (options.dump) {
        for (std::size_t i = 0; i < count; ++i) append_dump(classifier, lines[begin + i], out);
      } else {
        answers.append(lines.data() + begin, count, options.threads, out);
      }
      if (!write_out(out)) return;
    }
  }
}

// One line, whatever a bundle, a file's name or an argument holds.
int fail(const char* reason, int code) {
  std::fprintf(stderr, "kuaixun-classify: %s\n", kuaixun::printable(reason).c_str());
  return code;
}

}  // namespace

int main(int count, char** arguments) {
  std::signal(SIGPIPE, SIG_IGN);
  try {
    if (const char* text = asked_for(count, arguments)) {
      write_out(text);
    } else {
      run(parse_options(count, arguments));
    }
  } catch (const kuaixun::Error& error) {
    return fail(error.what(), static_cast<int>(error.code()));
  } catch (const std::bad_alloc&) {
    std::fputs("kuaixun-classify: there is not enough memory\n", stderr);
    return static_cast<int>(kuaixun::ErrorCode::engine);
  } catch (const std::exception& error) {
    return fail(error.what(), 70);
  }
  return 0;
}
