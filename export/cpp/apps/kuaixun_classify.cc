// `kuaixun-classify`: one text per line in, one JSON object per line out, in order, as the lines arrive: the same bytes
// as `kuaixun-export classify` writes.

#include <algorithm>
#include <csignal>
#include <cstddef>
#include <cstdio>
#include <exception>
#include <new>
#include <string>

#include "classifier.h"
#include "classify_options.h"
#include "error.h"
#include "json_answers.h"
#include "json_text.h"
#include "printable.h"
#include "standard_streams.h"

namespace {

using kuaixun::Classifier;
using kuaixun_apps::Options;

constexpr std::size_t batch_lines = 1024;
constexpr std::size_t utf8_bytes_per_character = 4;

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
    kuaixun_apps::write_out(golden_report(classifier));
    return;
  }
  kuaixun_apps::JsonAnswers answers(classifier);
  // With more threads, batches large enough to be worth sharing out.
  const std::size_t batch = batch_lines * options.threads;
  kuaixun_apps::ArrivingLines arriving(classifier.manifest().text.max_raw_chars * utf8_bytes_per_character, batch);
  std::string out;
  for (auto lines = arriving.next(); !lines.empty(); lines = arriving.next()) {
    for (std::size_t begin = 0; begin < lines.size(); begin += batch) {
      const std::size_t count = std::min(batch, lines.size() - begin);
      out.clear();
      if (options.dump) {
        for (std::size_t i = 0; i < count; ++i) kuaixun_apps::append_dump(classifier, lines[begin + i], out);
      } else {
        answers.append(lines.data() + begin, count, options.threads, out);
      }
      if (!kuaixun_apps::write_out(out)) return;
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
    if (const char* text = kuaixun_apps::asked_for(count, arguments)) {
      kuaixun_apps::write_out(text);
    } else {
      run(kuaixun_apps::parse_options(count, arguments));
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
