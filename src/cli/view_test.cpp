// SPDX-License-Identifier: Apache-2.0
#include "cli/view.h"

#include <gtest/gtest.h>

#include "cli/format.h"

namespace mongotwin::cli {
namespace {

using status::State;
using status::Status;

std::string joined(const std::vector<std::string>& lines) {
  std::string out;
  for (const auto& line : lines) out += line + "\n";
  return out;
}

const WallTime kNow{std::chrono::seconds(1'000'000)};

Status copying() {
  Status s;
  s.link = "twin";
  s.state = State::copying;
  s.detail = "copying shop.orders";
  s.source = {"mongodb://***@127.0.0.1:27100", "sharded", "6.0.5", {"a", "b"}};
  s.target = {"mongodb://127.0.0.1:27200", "replica set", "6.0.5", {"rs0"}};
  s.copy = {200'000, 50'000, 12'000'000, 3'000'000, 12, 3, 8, 2, 1234.4, 2'500'000, 80, {}};
  s.copy.collections = {{"shop.done", 10, 10, 1, 1, true}, {"shop.waiting", 100, 0, 1, 0, false}, {"shop.orders", 1000, 250, 1, 1, false}};
  return s;
}

Status replicating() {
  auto s = copying();
  s.state = State::replicating;
  s.detail = "";
  s.lag_ms = 300;
  s.ops = {130'000, 123'456, 1234.4, {{"insert", 100'000}, {"update", 23'456}, {"ddl", 0}}};
  s.positions["a"] = {{999'999, 1}, {999'998, 1}, {999'940, 1}, {}};
  return s;
}

TEST(Format, counts_sizes_and_rates) {
  EXPECT_EQ(count(0), "0");
  EXPECT_EQ(count(999), "999");
  EXPECT_EQ(count(1000), "1,000");
  EXPECT_EQ(count(1234567), "1,234,567");
  EXPECT_EQ(size(0), "0 B");
  EXPECT_EQ(size(999), "999 B");
  EXPECT_EQ(size(5'600'000), "5.6 MB");
  EXPECT_EQ(size(999'999), "1.0 MB");
  EXPECT_EQ(size(UINT64_MAX), "18446.7 PB");
  EXPECT_EQ(rate(0), "0");
  EXPECT_EQ(rate(-1), "0");
  EXPECT_EQ(rate(0.44), "0.4");
  EXPECT_EQ(rate(1234.4), "1,234");
}

TEST(Format, times) {
  EXPECT_EQ(duration(0), "0 s");
  EXPECT_EQ(duration(200), "3 min 20 s");
  EXPECT_EQ(duration(7500), "2 h 5 min");
  EXPECT_EQ(duration(86400 * 3 + 4 * 3600), "3 d 4 h");
  EXPECT_EQ(lag(-5), "0.0 s");
  EXPECT_EQ(lag(340), "0.3 s");
  EXPECT_EQ(lag(12'345), "12.3 s");
  EXPECT_EQ(lag(200'000), "3 min 20 s");
}

TEST(Format, bars_are_full_only_when_all_is_done) {
  EXPECT_EQ(bar(0, 10), "[----------]");
  EXPECT_EQ(bar(0.999, 10), "[#########-]");
  EXPECT_EQ(bar(1, 10), "[##########]");
  EXPECT_EQ(percent(0.9999), " 99.9 %");
  EXPECT_EQ(percent(1), "100.0 %");
  EXPECT_EQ(fraction(5, 0), 1.0);
  EXPECT_EQ(fraction(12, 10), 1.0);
}

TEST(Format, text_of_others_can_not_steer_the_terminal) {
  EXPECT_EQ(clip("a\x1b[2Jb\nc\x7f", 99), "a?[2Jb?c?");
  EXPECT_EQ(clip("äöü", 2), "äö");
  EXPECT_EQ(pad("äö", 4), "äö  ");
  EXPECT_EQ(pad("abcdef", 4), "abcd");
}

TEST(ProgressLines, of_a_copy) {
  EXPECT_EQ(joined(progress_lines(copying(), kNow, {100, 24})),
            "twin        copying - copying shop.orders\n"
            "            mongodb://***@127.0.0.1:27100 -> mongodb://127.0.0.1:27200\n"
            "copy        [######------------------]  25.0 %  50,000 of 200,000 documents  3.0 MB of 12.0 MB\n"
            "            1,234 documents/s  2.5 MB/s  ranges 3 of 12  1 min 20 s left\n"
            "indexes     [######------------------]  25.0 %  2 of 8\n"
            "  shop.orders                [###---------]  25.0 %  250 of 1,000  1 B of 1 B\n"
            "  shop.waiting               [------------]   0.0 %  0 of 100  0 B of 1 B\n"
            "lag         unknown\n"
            "operations  0/s  0 applied  0 entries read\n");
}

TEST(ProgressLines, of_index_builds) {
  auto s = copying();
  s.index_builds = {{"shop.orders", {"email", "n"}, "scanning the collection", 1'250, 5'000}, {"shop.carts", {"n"}, "", {}, {}}};
  auto lines = joined(progress_lines(s, kNow, {120, 24}));
  EXPECT_NE(lines.find("  shop.orders                [###---------]  25.0 %  building email, n: scanning the collection, 1,250 of 5,000\n"), std::string::npos) << lines;
  EXPECT_NE(lines.find("  shop.carts                 building n\n"), std::string::npos) << lines;
  EXPECT_NE(joined(status_lines(s, kNow)).find("building email, n: scanning the collection"), std::string::npos);
  EXPECT_NE(summary_line(s).find("; building 2 indexes of shop.orders: scanning the collection, 1,250 of 5,000; building 1 index of shop.carts"), std::string::npos) << summary_line(s);
}

TEST(ProgressLines, of_the_continuous_phase) {
  EXPECT_EQ(joined(progress_lines(replicating(), kNow, {100, 24})),
            "twin        replicating\n"
            "            mongodb://***@127.0.0.1:27100 -> mongodb://127.0.0.1:27200\n"
            "lag         0.3 s\n"
            "operations  1,234/s  123,456 applied  130,000 entries read\n"
            "            insert 100,000, update 23,456\n"
            "positions   shard           read             planned          applied          checkpointed\n"
            "            a               1 s ago          2 s ago          1 min 0 s ago    -\n");
}

TEST(ProgressLines, fit_the_screen_and_keep_what_went_wrong) {
  auto s = replicating();
  for (int i = 0; i < 50; ++i) s.positions["shard" + std::to_string(i)] = {};
  s.warnings = {"one", "two", "three", "four", "five"};
  s.error = status::Failure{"it broke", "mend it", "pause"};
  for (std::size_t rows : {1u, 5u, 8u, 24u, 100u})
    for (std::size_t columns : {1u, 30u, 200u}) {
      auto lines = progress_lines(s, kNow, {columns, rows});
      EXPECT_LE(lines.size(), std::max<std::size_t>(rows, 9));
      for (const auto& line : lines) EXPECT_LT(line.size(), std::max<std::size_t>(columns, 20));
      EXPECT_NE(joined(lines).find("it"), std::string::npos);
    }
  auto text = joined(progress_lines(s, kNow, {80, 40}));
  EXPECT_NE(text.find("and 45 more shards"), std::string::npos) << text;
  EXPECT_NE(text.find("and 2 more warnings"), std::string::npos);
  EXPECT_NE(text.find("ERROR       it broke\nwhat to do  mend it\n"), std::string::npos);
}

TEST(ProgressLines, a_bar_is_full_when_it_is_done_and_not_before) {
  auto shown = [](const Status& s) { return joined(progress_lines(s, kNow, {200, 40})); };
  Status s;
  s.state = State::copying;
  s.copy.collections = {{"shop.orders", 0, 0, 0, 0, false}};
  EXPECT_NE(shown(s).find("copy        [------------------------]   0.0 %"), std::string::npos) << "created, nothing counted yet\n" << shown(s);
  s.copy = {1000, 1000, 5000, 5000, 3, 3, 2, 1, 0, 0, {}, {{"shop.orders", 1000, 1000, 5000, 5000, false}}};
  EXPECT_NE(shown(s).find("copy        [#######################-]  99.9 %"), std::string::npos) << "its indexes are not there\n" << shown(s);
  EXPECT_NE(shown(s).find("shop.orders                [###########-]  99.9 %"), std::string::npos) << shown(s);
  EXPECT_NE(shown(s).find("indexes     [############------------]  50.0 %"), std::string::npos) << shown(s);
  s.copy.documents_done = 1200;  // more than was estimated
  EXPECT_NE(shown(s).find("copy        [#######################-]  99.9 %  1,200 of 1,000 documents"), std::string::npos) << shown(s);
  s.copy.indexes_done = 2;
  s.copy.collections[0].done = true;
  EXPECT_NE(shown(s).find("copy        [########################] 100.0 %"), std::string::npos) << shown(s);
  EXPECT_NE(shown(s).find("indexes     [########################] 100.0 %"), std::string::npos) << shown(s);
}

TEST(ProgressLines, before_anything_is_known) {
  Status s;
  s.link = "twin";
  EXPECT_EQ(joined(progress_lines(s, kNow, {80, 24})), "twin        starting\n");
}

TEST(SummaryLine, says_the_same_while_nothing_happens) {
  auto s = replicating();
  s.ops.per_second = 0;
  auto before = summary_line(s);
  EXPECT_EQ(before, "replicating; lag under 1 s, 123,456 operations applied, 0/s");
  s.lag_ms = 700;
  s.positions["a"].read.t += 10;
  EXPECT_EQ(summary_line(s), before);
  s.lag_ms = 1500;
  s.warnings = {"a", "b"};
  EXPECT_EQ(summary_line(s), "replicating; lag 1.5 s, 123,456 operations applied, 0/s; warning: b (and 1 more)");
  EXPECT_EQ(summary_line(copying()),
            "copying - copying shop.orders; 50,000 of 200,000 documents, 3.0 MB of 12.0 MB, ranges 3 of 12, indexes 2 of 8, 1,234 documents/s, 1 min 20 s left");
}

TEST(StatusLines, table) {
  auto s = replicating();
  s.state = State::failed;
  s.copy.documents_done = s.copy.documents_total;
  s.copy.ranges_done = s.copy.ranges_total;
  s.copy.eta_s.reset();
  s.copy.documents_per_second = s.copy.bytes_per_second = 0;
  s.copy.collections.clear();
  s.warnings = {"the oplog of a is short"};
  s.error = status::Failure{"a unique index clashes", "drop shop.orders.x on the target", "pause"};
  s.throttle = {20'000'000, {}, 2, 8};
  EXPECT_EQ(joined(status_lines(s, kNow)),
            "link        twin\n"
            "state       failed\n"
            "ERROR       a unique index clashes\n"
            "what to do  drop shop.orders.x on the target; it waits for you; the work goes on where it stands\n"
            "source      mongodb://***@127.0.0.1:27100  sharded 6.0.5, 2 shards\n"
            "target      mongodb://127.0.0.1:27200  replica set 6.0.5\n"
            "lag         0.3 s\n"
            "copy        [########################] 100.0 %  200,000 of 200,000 documents  3.0 MB of 12.0 MB\n"
            "            0 documents/s  0 B/s  ranges 12 of 12\n"
            "indexes     [######------------------]  25.0 %  2 of 8\n"
            "operations  1,234/s  123,456 applied  130,000 entries read\n"
            "            insert 100,000, update 23,456\n"
            "throttle    copy 20.0 MB/s  operations off  copiers 2  lanes 8  verify off\n"
            "positions   shard           read             planned          applied          checkpointed\n"
            "            a               1 s ago          2 s ago          1 min 0 s ago    -\n"
            "warning     the oplog of a is short\n");
}

TEST(StatusLines, never_hold_a_password) {
  Status s;
  s.source.uri = s.target.uri = s.detail = "mongodb://u:hunter2@h/";
  s.warnings = {s.detail};
  s.error = status::Failure{s.detail, s.detail, "retry"};
  EXPECT_EQ(joined(status_lines(s, kNow)).find("hunter2"), std::string::npos);
  EXPECT_EQ(joined(progress_lines(s, kNow, {80, 24})).find("hunter2"), std::string::npos);
  EXPECT_EQ(summary_line(s).find("hunter2"), std::string::npos);
}

}  // namespace
}  // namespace mongotwin::cli
