// SPDX-License-Identifier: Apache-2.0
#include "source/oplog_reader.h"

#include <gtest/gtest.h>

#include "journal/memory_journal.h"

namespace mongotwin::source {
namespace {

bson::Document write_to(const std::string& ns, std::uint32_t t, std::size_t bytes) {
  return bson::Builder().timestamp("ts", {t, 1}).string("op", "i").string("ns", ns).open_document("o").string("pad", std::string(bytes, 'x')).close().finish();
}

// Gives its entries as one reply, whose memory they share.
class OneReply final : public OplogSource {
 public:
  explicit OneReply(const std::vector<bson::Document>& entries) : owner_(std::make_shared<std::vector<bson::Document>>(entries)), reply_(owner_) {}
  void open(oplog::Timestamp) override {}
  std::vector<bson::Document> next(std::chrono::milliseconds) override {
    std::vector<bson::Document> out;
    if (!owner_) return out;
    for (const auto& entry : *owner_) out.emplace_back(owner_, entry.view());
    owner_.reset();
    return out;
  }
  [[nodiscard]] std::weak_ptr<const void> reply() const { return reply_; }

 private:
  std::shared_ptr<std::vector<bson::Document>> owner_;
  std::weak_ptr<const void> reply_;
};

TEST(OplogReaderTest, AFewEntriesDoNotKeepAReplyInMemoryThatIsNoUse) {
  for (bool much : {false, true}) {
    Signal appended, room;
    SystemClock clock;
    journal::MemoryJournal journal(1, 1'000'000, appended, {&room});
    auto source = std::make_unique<OneReply>(std::vector{write_to("config.transactions", 1, 1000), write_to("shop.orders", 2, much ? 5000 : 10), write_to("config.transactions", 3, 1000)});
    auto reply = source->reply();
    OplogReader reader(0, std::move(source), journal, clock, [](const std::string&) {});
    reader.start_at({1, 1});
    for (int n = 0; n < 2; ++n) ASSERT_EQ(reader.step({}), Step::progress);
    auto records = journal.take(0, {});
    ASSERT_EQ(records.size(), 1u);
    EXPECT_EQ(records.front().entry, write_to("shop.orders", 2, much ? 5000 : 10));
    EXPECT_EQ(reply.expired(), !much) << "copied where most of the reply is no use, shared else";
  }
}

}  // namespace
}  // namespace mongotwin::source
