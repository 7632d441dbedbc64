// SPDX-License-Identifier: Apache-2.0
#include "journal/disk_journal.h"

#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <random>

#include "base/error.h"

namespace mongotwin::journal {
namespace {

bson::Document entry(std::uint32_t n, std::size_t bytes = 0) { return bson::Builder().int32("n", static_cast<std::int32_t>(n)).string("pad", std::string(bytes, 'x')).finish(); }

class DiskJournalTest : public ::testing::Test {
 protected:
  DiskJournalTest() { std::filesystem::remove_all(directory); }
  ~DiskJournalTest() override { std::filesystem::remove_all(directory); }

  std::unique_ptr<DiskJournal> make(DiskLimits limits = {}, const std::string& cluster = "c1", std::vector<std::string> shards = {"rs0", "rs1"}) {
    return std::make_unique<DiskJournal>(directory, cluster, std::move(shards), limits, on_append, std::vector<Signal*>{&on_room, &on_room});
  }
  // Entries first … last of `shard`, one a batch.
  static bool append(DiskJournal& journal, ShardIndex shard, std::uint32_t first, std::uint32_t last, std::size_t bytes = 0) {
    for (auto n = first; n <= last; ++n) {
      std::vector<Record> batch{{{n, 1}, entry(n, bytes)}};
      if (!journal.append(shard, batch, {n, 1})) return false;
    }
    return true;
  }
  // 1 kB that can't be compressed.
  static bool append_noise(DiskJournal& journal, Timestamp ts) {
    std::string noise(1000, '\0');
    std::generate(noise.begin(), noise.end(), [random = std::mt19937(ts.t + ts.i)]() mutable { return static_cast<char>(random()); });
    std::vector<Record> batch{{ts, bson::Builder().int32("n", static_cast<std::int32_t>(ts.t)).string("pad", noise).finish()}};
    return journal.append(0, batch, ts);
  }
  static std::vector<std::uint32_t> take_all(DiskJournal& journal, ShardIndex shard, std::size_t at_once = 7) {
    std::vector<std::uint32_t> out;
    for (;;) {
      auto records = journal.take(shard, {at_once});
      if (records.empty()) return out;
      for (const auto& r : records) {
        EXPECT_EQ(r.entry["n"].integer(), r.ts.t);
        out.push_back(r.ts.t);
      }
    }
  }
  static std::vector<std::uint32_t> numbers(std::uint32_t first, std::uint32_t last) {
    std::vector<std::uint32_t> out;
    for (auto n = first; n <= last; ++n) out.push_back(n);
    return out;
  }

  std::string directory = (std::filesystem::temp_directory_path() / ("twin-journal-" + std::to_string(getpid()))).string();
  Signal on_append, on_room;
};

TEST_F(DiskJournalTest, GivesWhatWasReadInOrder) {
  auto journal = make();
  EXPECT_FALSE(journal->open_shard(0, {1, 1}));
  EXPECT_FALSE(journal->open_shard(1, {5, 0}));
  ASSERT_TRUE(append(*journal, 0, 1, 50));
  ASSERT_TRUE(append(*journal, 1, 6, 8));
  EXPECT_EQ(take_all(*journal, 0), numbers(1, 50));
  EXPECT_EQ(take_all(*journal, 1), numbers(6, 8));
  EXPECT_EQ(journal->read_up_to(0), (Timestamp{50, 1}));
  std::vector<Record> nothing;
  ASSERT_TRUE(journal->append(0, nothing, {60, 0}));
  EXPECT_EQ(journal->read_up_to(0), (Timestamp{60, 0}));
}

TEST_F(DiskJournalTest, WhatTheWindowCannotHoldComesFromTheDisk) {
  auto journal = make({.window_bytes = 20'000});
  (void)journal->open_shard(0, {1, 0});
  std::mt19937 random(1);
  std::vector<std::uint32_t> taken;
  std::uint32_t next = 1;
  while (taken.size() < 3000) {
    auto count = static_cast<std::uint32_t>(random() % 40);
    ASSERT_TRUE(append(*journal, 0, next, next + count, random() % 1000));
    next += count + 1;
    for (const auto& r : journal->take(0, {random() % 60, random() % 30'000})) taken.push_back(r.ts.t);
  }
  for (auto n : take_all(*journal, 0)) taken.push_back(n);
  EXPECT_EQ(taken, numbers(1, next - 1));
}

TEST_F(DiskJournalTest, GivesNoMoreBytesAtOnceThanAskedForButOneEntry) {
  for (std::uint64_t window : {1u << 20, 1u}) {  // from memory, and from the disk
    std::filesystem::remove_all(directory);
    auto journal = make({.window_bytes = window});
    (void)journal->open_shard(0, {1, 0});
    ASSERT_TRUE(append(*journal, 0, 1, 9, 1000));
    std::vector<std::size_t> sizes;
    for (auto records = journal->take(0, {100, 2500}); !records.empty(); records = journal->take(0, {100, 2500})) sizes.push_back(records.size());
    EXPECT_EQ(std::accumulate(sizes.begin(), sizes.end(), std::size_t{0}), 9u);
    EXPECT_EQ(*std::max_element(sizes.begin(), sizes.end()), 2u);
    ASSERT_TRUE(append(*journal, 0, 10, 12, 5000));
    for (int n = 0; n < 3; ++n) EXPECT_EQ(journal->take(0, {100, 2500}).size(), 1u);
    EXPECT_TRUE(journal->take(0, {100, 2500}).empty());
  }
}

TEST_F(DiskJournalTest, TheNextRunGoesOnWhereTheCheckpointIs) {
  {
    auto journal = make();
    (void)journal->open_shard(0, {1, 1});
    ASSERT_TRUE(append(*journal, 0, 1, 100));
    std::vector<Record> nothing;
    ASSERT_TRUE(journal->append(0, nothing, {103, 0}));
  }
  auto span = DiskJournal::span_of(directory, "c1", "rs0");
  ASSERT_TRUE(span);
  EXPECT_EQ(span->first, (Timestamp{1, 1}));
  EXPECT_EQ(span->last, (Timestamp{103, 0}));
  auto journal = make();
  EXPECT_EQ(journal->open_shard(0, {40, 1}), (Timestamp{103, 0}));
  ASSERT_TRUE(append(*journal, 0, 104, 110));
  auto expected = numbers(40, 100);
  for (auto n : numbers(104, 110)) expected.push_back(n);
  EXPECT_EQ(take_all(*journal, 0), expected);
}

TEST_F(DiskJournalTest, HistoryThatIsMissingIsNotMadeUp) {
  {
    auto journal = make();
    (void)journal->open_shard(0, {10, 0});
    ASSERT_TRUE(append(*journal, 0, 10, 20));
  }
  EXPECT_FALSE(make()->open_shard(0, {9, 0})) << "began later";
  {
    auto journal = make();
    (void)journal->open_shard(0, {10, 0});
    ASSERT_TRUE(append(*journal, 0, 10, 20));
  }
  EXPECT_FALSE(make()->open_shard(0, {21, 0})) << "ended earlier";
  EXPECT_FALSE(DiskJournal::span_of(directory, "another", "rs0"));
  auto other = make({}, "another");
  EXPECT_FALSE(other->open_shard(0, {15, 0})) << "of another cluster";
  EXPECT_TRUE(take_all(*other, 0).empty());
}

TEST_F(DiskJournalTest, ShardsThatWentAreForgotten) {
  {
    auto journal = make();
    (void)journal->open_shard(0, {1, 0});
    (void)journal->open_shard(1, {1, 0});
    ASSERT_TRUE(append(*journal, 0, 1, 5));
    ASSERT_TRUE(append(*journal, 1, 1, 5));
  }
  make({}, "c1", {"rs1"});
  auto journal = make();
  EXPECT_FALSE(journal->open_shard(0, {1, 0}));
  EXPECT_TRUE(journal->open_shard(1, {1, 0}));
}

TEST_F(DiskJournalTest, FullUntilTrimmed) {
  auto journal = make({.window_bytes = 10'000, .disk_bytes = 4'000'000});
  (void)journal->open_shard(0, {1, 0});
  (void)journal->open_shard(1, {1, 0});
  std::uint32_t n = 1;
  while (append(*journal, 0, n, n, 10'000)) ++n;
  EXPECT_GT(n, 150u);
  EXPECT_TRUE(journal->size().full);
  EXPECT_EQ(journal->size().oldest_t, 1u);
  EXPECT_TRUE(append(*journal, 1, 1, 1)) << "a shard that is behind has room of its own";
  EXPECT_EQ(take_all(*journal, 0).size(), n - 1);
  EXPECT_FALSE(append(*journal, 0, n, n)) << "taken is not yet applied";
  journal->trim(0, {n / 2, 1});
  EXPECT_TRUE(append(*journal, 0, n, n));
  EXPECT_FALSE(journal->size().full);
  EXPECT_LT(journal->size().bytes, 1'500'000u);
  journal.reset();
  journal = make();
  EXPECT_FALSE(journal->open_shard(0, {1, 0})) << "was trimmed";
}

// Not a test: the process that NothingThatWasReadIsLostByKill kills. A process of its own, not a fork: RocksDB's threads
// would not be there.
TEST_F(DiskJournalTest, DISABLED_AppendsForEver) {
  const char* told_to = getenv("TWIN_JOURNAL_TELL");
  ASSERT_TRUE(told_to);
  directory = getenv("TWIN_JOURNAL");
  auto journal = make({.window_bytes = 30'000});
  (void)journal->open_shard(0, {1, 0});
  for (std::uint32_t n = 1; append(*journal, 0, n, n, 500); ++n) ASSERT_EQ(write(std::stoi(told_to), &n, sizeof n), static_cast<ssize_t>(sizeof n));
}

TEST_F(DiskJournalTest, FullFromAnEarlierRunEmptiesWhenAllIsApplied) {
  std::uint32_t n = 1;
  {
    auto journal = make({.disk_bytes = 9'000'000});
    (void)journal->open_shard(0, {1, 0});
    for (; journal->size().bytes < 2'000'000; ++n) {
      ASSERT_TRUE(append_noise(*journal, {n, 1}));
    }
  }
  auto journal = make({.disk_bytes = 3'000'000});
  (void)journal->open_shard(0, {1, 0});
  EXPECT_EQ(take_all(*journal, 0), numbers(1, n - 1));
  EXPECT_FALSE(append(*journal, 0, n, n));
  journal->trim(0, {n - 1, 1});
  EXPECT_TRUE(append(*journal, 0, n, n));
  journal.reset();
  journal = make();
  EXPECT_TRUE(journal->open_shard(0, {n - 1, 1})) << "where the next run begins to read";
  EXPECT_EQ(take_all(*journal, 0), numbers(n - 1, n));
}

TEST_F(DiskJournalTest, WhatAnEarlierRunHasLeftIsFreedBitByBit) {
  constexpr std::uint32_t kEntries = 4000;
  for (bool in_one_second : {false, true}) {
    std::filesystem::remove_all(directory);
    auto nth = [&](std::uint32_t n) { return in_one_second ? Timestamp{7, n} : Timestamp{n, 1}; };
    {
      auto journal = make({.window_bytes = 4'000'000});
      (void)journal->open_shard(0, nth(1));
      for (std::uint32_t n = 1; n <= kEntries; ++n) ASSERT_TRUE(append_noise(*journal, nth(n)));
    }
    auto journal = make({.window_bytes = 4'000'000});
    (void)journal->open_shard(0, nth(1));
    auto whole = static_cast<double>(journal->size().bytes);
    EXPECT_NEAR(whole, kEntries * 1050.0, kEntries * 100.0);
    for (std::uint32_t quarter = 1; quarter <= 3; ++quarter) {
      journal->trim(0, nth(quarter * kEntries / 4));
      EXPECT_NEAR(static_cast<double>(journal->size().bytes), whole * (4 - quarter) / 4, 600'000.0) << quarter;
    }
    journal->trim(0, nth(kEntries));
    EXPECT_EQ(journal->size().bytes, 0u);
  }
}

TEST_F(DiskJournalTest, FullOfTheEntryThatItBeganWithEmptiesToo) {
  auto journal = make({.disk_bytes = 2'000'000});
  (void)journal->open_shard(0, {1, 1});
  ASSERT_TRUE(append(*journal, 0, 1, 1, 1'500'000));
  EXPECT_FALSE(append(*journal, 0, 2, 2));
  EXPECT_EQ(take_all(*journal, 0), numbers(1, 1));
  journal->trim(0, {1, 1});
  EXPECT_TRUE(append(*journal, 0, 2, 2)) << "all is applied: there is room";
  EXPECT_LT(journal->size().bytes, 1'000u);
  journal.reset();
  journal = make();
  EXPECT_TRUE(journal->open_shard(0, {1, 1})) << "where the next run begins to read";
  EXPECT_EQ(take_all(*journal, 0), numbers(1, 2));
}

TEST_F(DiskJournalTest, NothingThatWasReadIsLostByKill) {
  int pipe_ends[2];
  ASSERT_EQ(pipe(pipe_ends), 0);
  auto child = fork();
  if (child == 0) {
    setenv("TWIN_JOURNAL", directory.c_str(), 1);
    setenv("TWIN_JOURNAL_TELL", std::to_string(pipe_ends[1]).c_str(), 1);
    execl("/proc/self/exe", "journal_test", "--gtest_also_run_disabled_tests", "--gtest_filter=*DISABLED_AppendsForEver", "--gtest_brief=1", nullptr);
    _exit(1);
  }
  std::uint32_t told = 0;
  while (told < 5000) ASSERT_EQ(read(pipe_ends[0], &told, sizeof told), static_cast<ssize_t>(sizeof told));
  kill(child, SIGKILL);
  waitpid(child, nullptr, 0);
  close(pipe_ends[1]);
  std::uint32_t n = 0;
  while (read(pipe_ends[0], &n, sizeof n) == sizeof n) told = n;
  close(pipe_ends[0]);
  auto journal = make();
  auto last = journal->open_shard(0, {1, 0});
  ASSERT_TRUE(last);
  EXPECT_GE(last->t, told);
  EXPECT_EQ(take_all(*journal, 0, 1000), numbers(1, last->t));
}

TEST_F(DiskJournalTest, DamageIsNoticed) {
  {
    auto journal = make({.window_bytes = 4'000'000});
    (void)journal->open_shard(0, {1, 0});
    ASSERT_TRUE(append(*journal, 0, 1, 20'000, 200));
  }
  for (const auto& file : std::filesystem::directory_iterator(directory)) {
    if (file.path().extension() != ".sst" && file.path().extension() != ".log") continue;
    std::fstream f(file.path(), std::ios::in | std::ios::out | std::ios::binary);
    f.seekp(static_cast<std::streamoff>(file.file_size() / 2));
    f.write("damaged!", 8);
  }
  try {
    auto journal = make();
    auto last = journal->open_shard(0, {1, 0});
    if (!last) return;  // what is left is not used
    auto all = take_all(*journal, 0, 1000);
    EXPECT_EQ(all, numbers(1, last->t)) << "a gap";
  } catch (const Error& e) {
    EXPECT_NE(std::string(e.what()).find("damaged"), std::string::npos) << e.what();
    EXPECT_NE(e.hint().find("remove the directory"), std::string::npos);
  }
}

TEST_F(DiskJournalTest, TwoCannotUseOne) {
  auto journal = make();
  try {
    make();
    FAIL();
  } catch (const Error& e) {
    EXPECT_EQ(e.remedy(), Remedy::fix_config);
    EXPECT_NE(std::string(e.what()).find("in use"), std::string::npos) << e.what();
  }
}

TEST_F(DiskJournalTest, ThePlaceIsCheckedWithoutMakingIt) {
  DiskJournal::check_place(directory + "/a/b");
  DiskJournal::check_free(directory);
  EXPECT_FALSE(std::filesystem::exists(directory));
  auto journal = make();
  EXPECT_THROW(DiskJournal::check_free(directory), Error) << "in use";
  journal.reset();
  DiskJournal::check_free(directory);
  std::filesystem::remove_all(directory);
  std::ofstream(directory) << "a file";
  EXPECT_THROW(DiskJournal::check_place(directory), Error);
  EXPECT_THROW(DiskJournal::check_place(directory + "/below"), Error);
}

TEST_F(DiskJournalTest, ADirectoryThatCannotBeWrittenToIsNamed) {
  std::ofstream(directory) << "a file";
  try {
    make();
    FAIL();
  } catch (const Error& e) {
    EXPECT_NE(std::string(e.what()).find(directory), std::string::npos);
  }
}

}  // namespace
}  // namespace mongotwin::journal
