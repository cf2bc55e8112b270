// Several threads at one classifier, and several classifiers on one thread. Built with KUAIXUN_SANITIZE=thread, this is
// where races would be found.

#include <atomic>
#include <cstdint>
#include <string>
#include <thread>
#include <vector>

#include "default_bundle.h"

namespace {

using kuaixun_tests::open_default_bundle;
using kuaixun_tests::OpenClassifier;

constexpr std::size_t texts_in_a_batch = 600;  // of which two parts are made
constexpr int callers = 4;
constexpr int rounds = 3;

std::vector<std::string> texts_of(int number) {
  std::vector<std::string> texts;
  for (std::size_t i = 0; i < texts_in_a_batch; ++i) {
    texts.push_back(i % 7 == 0 ? ""
                               : "沪指<b>午后</b>拉升" + std::to_string(i * 31 + static_cast<std::size_t>(number)));
  }
  return texts;
}

std::vector<double> logits_of(const kuaixun_classifier* classifier, const std::vector<std::string>& texts,
                              unsigned threads) {
  std::vector<kuaixun_text> views;
  for (const std::string& text : texts) views.push_back({text.data(), text.size()});
  std::vector<double> logits(texts.size() * kuaixun_classes(classifier));
  EXPECT_EQ(kuaixun_classify(classifier, views.data(), views.size(), KUAIXUN_SURROGATES_REPLACE, threads, nullptr,
                             nullptr, nullptr, logits.data()),
            KUAIXUN_OK);
  return logits;
}

TEST(Threads, AnyNumberOfThemMayUseOneClassifierAndEachSeveral) {
  const OpenClassifier classifiers[] = {open_default_bundle(KUAIXUN_INT8), open_default_bundle(KUAIXUN_BF16),
                                        open_default_bundle(KUAIXUN_FP32)};
  std::vector<std::vector<double>> expected;
  for (int caller = 0; caller < callers; ++caller) {
    for (const auto& classifier : classifiers) expected.push_back(logits_of(classifier.get(), texts_of(caller), 1));
  }
  std::atomic<int> differences{0};
  std::vector<std::thread> threads;
  for (int caller = 0; caller < callers; ++caller) {
    threads.emplace_back([&, caller] {
      const std::vector<std::string> texts = texts_of(caller);
      for (int round = 0; round < rounds; ++round) {
        std::size_t place = static_cast<std::size_t>(caller) * 3;
        for (const auto& classifier : classifiers) {
          if (logits_of(classifier.get(), texts, 2) != expected[place++]) ++differences;
        }
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(differences, 0);
}

// Whether it is refused or answered is a matter of moments; what lies beyond the vocabulary is read by no one.
TEST(Threads, AnIdThatIsChangedWhileItIsScoredIsReadOnce) {
  const OpenClassifier classifier = open_default_bundle(KUAIXUN_INT8);
  constexpr std::size_t rows = 50000;
  constexpr std::size_t width = 4;
  std::vector<std::int32_t> ids(rows * width, 5);
  std::vector<double> logits(rows * kuaixun_classes(classifier.get()));
  std::atomic<bool> is_done{false};
  std::thread writer([&] {
    while (!is_done) {
      for (const std::int32_t id : {INT32_MAX / 2, 5}) {
        __atomic_store_n(&ids[ids.size() / 2], id, __ATOMIC_RELAXED);
        __atomic_store_n(&ids[ids.size() - 1], id, __ATOMIC_RELAXED);
      }
    }
  });
  for (int round = 0; round < 5; ++round) {
    const int code = kuaixun_logits(classifier.get(), ids.data(), rows, width, 1, logits.data());
    EXPECT_TRUE(code == KUAIXUN_OK || code == KUAIXUN_USAGE) << code;
  }
  is_done = true;
  writer.join();
}

}  // namespace
