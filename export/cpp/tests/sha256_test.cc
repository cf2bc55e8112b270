#include "sha256.h"

#include <gtest/gtest.h>

namespace kuaixun {
namespace {

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
    EXPECT_EQ(sha256(content, own), sha256(content, sha256_mix_portable)) << size;
    content.push_back(static_cast<char>(size * 37));
  }
}

TEST(Sha256, GivesThePublishedDigestsWithoutTheProcessorsInstructions) {
  EXPECT_EQ(sha256("abc", sha256_mix_portable), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
}

}  // namespace
}  // namespace kuaixun
