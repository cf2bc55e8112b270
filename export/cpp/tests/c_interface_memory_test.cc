// What the C interface does where memory ends, and what of it a call keeps. All of this program's memory goes through
// the operators below.

#include <atomic>
#include <cstdlib>
#include <new>
#include <vector>

#include "default_bundle.h"

namespace {

constexpr std::size_t header_bytes = 64;  // before each piece: its size

std::atomic<bool> memory_is_out{false};
std::atomic<long long> held_bytes{0};

void* take(std::size_t bytes) {
  void* const piece = memory_is_out ? nullptr : std::malloc(bytes + header_bytes);
  if (piece == nullptr) throw std::bad_alloc();
  *static_cast<std::size_t*>(piece) = bytes;
  held_bytes += static_cast<long long>(bytes);
  return static_cast<char*>(piece) + header_bytes;
}

void give_back(void* memory) noexcept {
  if (memory == nullptr) return;
  void* const piece = static_cast<char*>(memory) - header_bytes;
  held_bytes -= static_cast<long long>(*static_cast<std::size_t*>(piece));
  std::free(piece);
}

}  // namespace

void* operator new(std::size_t bytes) { return take(bytes); }
void* operator new[](std::size_t bytes) { return take(bytes); }
void operator delete(void* memory) noexcept { give_back(memory); }
void operator delete[](void* memory) noexcept { give_back(memory); }
void operator delete(void* memory, std::size_t) noexcept { give_back(memory); }
void operator delete[](void* memory, std::size_t) noexcept { give_back(memory); }

namespace {

class NoMemory {
 public:
  NoMemory() { memory_is_out = true; }
  ~NoMemory() { memory_is_out = false; }
};

TEST(CInterface, WithoutMemoryEachFunctionReturnsACode) {
  const auto classifier = kuaixun_tests::open_default_bundle(KUAIXUN_INT8);
  const std::vector<kuaixun_text> texts(1000, kuaixun_text{"a", 1});
  const std::vector<std::int32_t> ids(1000, 5);
  std::vector<double> logits(texts.size() * kuaixun_classes(classifier.get()));
  kuaixun_classifier* opened = nullptr;
  char message[100];
  std::size_t sizes[3];
  const int none_of_them = 7;
  int codes[4] = {};
  {
    const NoMemory no_memory;
    codes[0] = kuaixun_open("/nonexistent/bundle", none_of_them, &opened, message, sizeof message);
    codes[1] = kuaixun_classify(classifier.get(), texts.data(), texts.size(), KUAIXUN_SURROGATES_REPLACE, 1, nullptr,
                                nullptr, nullptr, logits.data());
    codes[2] = kuaixun_logits(classifier.get(), ids.data(), 100, 10, 1, logits.data());
    codes[3] = kuaixun_encode(classifier.get(), texts[0], KUAIXUN_SURROGATES_REPLACE, nullptr, &sizes[0], nullptr,
                              &sizes[1], &sizes[2]);
  }
  for (const int code : codes) EXPECT_EQ(code, KUAIXUN_ENGINE);
  EXPECT_EQ(opened, nullptr);
}

TEST(CInterface, ABatchIsForgottenWhenItIsAnswered) {
  const auto classifier = kuaixun_tests::open_default_bundle(KUAIXUN_INT8);
  const auto classify = [&](const std::vector<kuaixun_text>& texts) {
    EXPECT_EQ(kuaixun_classify(classifier.get(), texts.data(), texts.size(), KUAIXUN_SURROGATES_REPLACE, 1, nullptr,
                               nullptr, nullptr, nullptr),
              KUAIXUN_OK);
  };
  // What a thread keeps, for as many texts as are summed together at most, it has from here on.
  classify(std::vector<kuaixun_text>(2'000, kuaixun_text{"a", 1}));
  const std::vector<kuaixun_text> many(20'000, kuaixun_text{"a", 1});
  const long long before = held_bytes;
  classify(many);
  EXPECT_LT(held_bytes - before, 1000);
}

}  // namespace
