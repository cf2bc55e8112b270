#include "sha256.h"

#include <gtest/gtest.h>

namespace kuaixun {
namespace {

std::string by(Sha256Mixer mix, std::string_view content) {
  Sha256 digest(mix);
  digest.add(content);
  return digest.hexadecimal();
}

// The examples of FIPS 180-4 and of NIST's test vectors.
TEST(Sha256, GivesThePublishedDigests) {
  EXPECT_EQ(sha256(""), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
  EXPECT_EQ(sha256("abc"), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  EXPECT_EQ(sha256("abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq"),
            "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1");
  EXPECT_EQ(
      sha256("abcdefghbcdefghicdefghijdefghijkefghijklfghijklmghijklmnhijklmnoijklmnopjklmnopqklmnopqrlmnopqrsmnopqrs"
             "tnopqrstu"),
      "cf5b16a778af8380036ce59e7b0492370b249b11e8f07a51afac45037afee9d1");
  EXPECT_EQ(sha256(std::string(1000000, 'a')), "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0");
}

// The mixers, at every length of the last block and across several blocks.
TEST(Sha256, IsTheSameByTheProcessorsInstructions) {
  const Sha256Mixer own = sha256_mixer_of_processor();
  if (own == nullptr) GTEST_SKIP() << "this processor has none";
  std::string content;
  for (int size = 0; size < 400; ++size) {
    EXPECT_EQ(by(own, content), by(sha256_mix_portable, content)) << size;
    content.push_back(static_cast<char>(size * 37));
  }
}

TEST(Sha256, GivesThePublishedDigestsWithoutTheProcessorsInstructions) {
  EXPECT_EQ(by(sha256_mix_portable, "abc"), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
}

TEST(Sha256, DoesNotDependOnThePieces) {
  std::string content;
  for (int i = 0; i < 300; ++i) content.push_back(static_cast<char>(i * 37));
  const std::string_view whole = content;
  for (std::size_t first = 0; first <= whole.size(); first += 7) {
    for (std::size_t second = first; second <= whole.size(); second += 13) {
      Sha256 digest;
      digest.add(whole.substr(0, first));
      digest.add(whole.substr(first, second - first));
      digest.add(whole.substr(second));
      EXPECT_EQ(digest.hexadecimal(), sha256(whole)) << first << ", " << second;
    }
  }
}

}  // namespace
}  // namespace kuaixun
