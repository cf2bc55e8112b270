#include "usable_cores.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

namespace kuaixun {
namespace {

class ControlGroups : public testing::Test {
 protected:
  ControlGroups() { std::filesystem::remove_all(mount_); }
  ~ControlGroups() override { std::filesystem::remove_all(mount_); }

  void write(const std::string& name, const std::string& content) const {
    const std::filesystem::path path = mount_ + "/" + name;
    std::filesystem::create_directories(path.parent_path());
    std::ofstream(path) << content;
  }

  const std::string mount_ = testing::TempDir() + "kuaixun-groups";
};

TEST_F(ControlGroups, OfVersionTwoTheLowestQuotaUpToTheRootCounts) {
  const std::string membership = "0::/system.slice/docker-3f.scope\n";
  EXPECT_EQ(quota_cores(membership, mount_), std::nullopt);
  write("system.slice/docker-3f.scope/cpu.max", "max 100000\n");
  EXPECT_EQ(quota_cores(membership, mount_), std::nullopt);
  write("system.slice/docker-3f.scope/cpu.max", "400000 100000\n");
  EXPECT_EQ(quota_cores(membership, mount_), 4U);
  write("system.slice/cpu.max", "150000 100000\n");
  EXPECT_EQ(quota_cores(membership, mount_), 2U);
  write("cpu.max", "1000 100000\n");
  EXPECT_EQ(quota_cores(membership, mount_), 1U);
  EXPECT_EQ(quota_cores("0::/\n", mount_), 1U);
}

TEST_F(ControlGroups, OfVersionOneTheGroupOfTheCpuCounts) {
  const std::string membership = "5:cpuset:/x\n4:cpu,cpuacct:/docker/3f\n0::/y\n";
  write("cpu/cpu.cfs_quota_us", "-1\n");
  write("cpu/cpu.cfs_period_us", "100000\n");
  write("x/cpu.max", "100000 100000\n");
  EXPECT_EQ(quota_cores(membership, mount_), std::nullopt);
  write("cpu/docker/3f/cpu.cfs_quota_us", "250000\n");
  write("cpu/docker/3f/cpu.cfs_period_us", "100000\n");
  EXPECT_EQ(quota_cores(membership, mount_), 3U);
}

TEST_F(ControlGroups, AContainerThatSeesItsOwnGroupAsTheRootHasItsQuota) {
  write("cpu/cpu.cfs_quota_us", "200000\n");
  write("cpu/cpu.cfs_period_us", "100000\n");
  EXPECT_EQ(quota_cores("1:cpu:/docker/3f\n", mount_), 2U);
}

TEST_F(ControlGroups, WhatCannotBeReadIsNoQuota) {
  write("cpu.max", "many 100000\n");
  for (const char* membership : {"", "\n", "nothing\n", "0:", "0::", "0::/\n", "::::/\n", "3:cpuacct:/\n"}) {
    EXPECT_EQ(quota_cores(membership, mount_), std::nullopt) << membership;
  }
  write("cpu.max", "100000 0\n");
  EXPECT_EQ(quota_cores("0::/\n", mount_), std::nullopt);
}

TEST(UsableCores, ThereIsOneAtLeast) { EXPECT_GE(usable_cores(), 1U); }

}  // namespace
}  // namespace kuaixun
