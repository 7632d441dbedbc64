// SPDX-License-Identifier: Apache-2.0
#include "journal/spill.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <vector>

namespace mongotwin::journal {
namespace {

constexpr std::size_t kMB = 1u << 20;

class SpillTest : public ::testing::Test {
 protected:
  ~SpillTest() override { std::filesystem::remove_all(directory); }
  static bson::Document document(int n, std::size_t bytes) { return bson::Builder().int32("n", n).string("pad", std::string(bytes, static_cast<char>('a' + n % 26))).finish(); }
  std::string directory = std::filesystem::temp_directory_path() / ("spill_test." + std::to_string(getpid()));
};

std::uint64_t resident_bytes() {
  std::ifstream statm("/proc/self/statm");
  std::uint64_t size = 0, resident = 0;
  statm >> size >> resident;
  return resident * static_cast<std::uint64_t>(sysconf(_SC_PAGESIZE));
}

TEST_F(SpillTest, SmallSumsStayInMemory) {
  Spill spill(directory, 10 * kMB);
  auto original = document(1, kMB);
  {
    auto kept = spill.keep(original);
    EXPECT_EQ(kept, original);
    EXPECT_NE(kept.view().data(), original.view().data());
    EXPECT_EQ(spill.bytes_in_memory(), original.size());
  }
  EXPECT_EQ(spill.bytes_in_memory(), 0u);
  EXPECT_FALSE(std::filesystem::exists(directory)) << "made only when it is needed";
}

TEST_F(SpillTest, WhatIsBeyondTheLimitIsOnDiskAndComesBackAsItWas) {
  Spill spill(directory, 2 * kMB);
  auto before = resident_bytes();
  std::vector<bson::Document> kept;
  for (int n = 0; n < 200; ++n) kept.push_back(spill.keep(document(n, kMB)));
  EXPECT_LE(spill.bytes_in_memory(), 2 * kMB);
  EXPECT_GE(spill.bytes_on_disk(), 198 * kMB);
  EXPECT_LT(resident_bytes(), before + 20 * kMB);
  for (int n = 0; n < 200; ++n) {
    ASSERT_EQ(kept[n], document(n, kMB));
    kept[n] = {};
  }
  EXPECT_EQ(spill.bytes_on_disk(), 0u);
  EXPECT_TRUE(std::filesystem::is_empty(directory)) << "the file has no name";
}

TEST_F(SpillTest, ManySmallOnesStayInMemory) {
  Spill spill(directory, 10'000);
  std::vector<bson::Document> kept;
  for (int n = 0; n < 1000; ++n) kept.push_back(spill.keep(document(n, 100)));
  EXPECT_EQ(spill.bytes_on_disk(), 0u) << "a process has some ten thousand mappings";
}

TEST_F(SpillTest, DocumentsOutliveIt) {
  bson::Document kept;
  {
    Spill spill(directory, 0);
    kept = spill.keep(document(3, kMB));
  }
  EXPECT_EQ(kept, document(3, kMB));
}

TEST_F(SpillTest, WithoutRoomOnDiskItIsMemory) {
  std::filesystem::create_directories(directory);
  auto file = directory + "/no_directory";
  std::ofstream(file) << "x";
  Spill spill(file, 0);
  EXPECT_EQ(spill.keep(document(3, kMB)), document(3, kMB));
  EXPECT_EQ(spill.bytes_on_disk(), 0u);
}

}  // namespace
}  // namespace mongotwin::journal
