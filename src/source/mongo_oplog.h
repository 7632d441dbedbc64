// SPDX-License-Identifier: Apache-2.0
// MongoOplog: the oplog of a replica set or shard, tailed with read concern majority: what it gives can't be rolled
// back. Owned by one thread; the Pool must outlive it. Free functions below: thread-safe.
#pragma once

#include <memory>
#include <optional>
#include <stop_token>

#include "mongo/cursor.h"
#include "source/oplog_source.h"

namespace mongotwin::source {

class MongoOplog final : public OplogSource {
 public:
  explicit MongoOplog(mongo::Pool& pool) : pool_(pool) {}
  void open(oplog::Timestamp position) override;
  std::vector<bson::Document> next(std::chrono::milliseconds wait) override;

 private:
  mongo::Pool& pool_;
  std::unique_ptr<mongo::Client> client_;
  std::unique_ptr<mongo::Cursor> cursor_;
  std::vector<bson::Document> first_;
};

// The newest entry that a majority has.
[[nodiscard]] oplog::Timestamp newest_position(mongo::Client& client);

struct Window {
  oplog::Timestamp oldest, newest;
  [[nodiscard]] std::int64_t seconds() const { return static_cast<std::int64_t>(newest.t) - oldest.t; }
};
[[nodiscard]] Window oplog_window(mongo::Client& client);
[[noreturn]] void throw_history_lost(const std::string& label, oplog::Timestamp position, oplog::Timestamp oldest);

// Where a first start begins: `frontier` is a position of now; reading must begin at `resume`, so that every
// transaction that is open at the frontier is seen from its first entry.
struct StartPosition {
  oplog::Timestamp frontier, resume;
};
[[nodiscard]] StartPosition start_position(mongo::Client& client);

// When a document of a capped collection was inserted, if that was in (from, up_to] and it was not there at `from`. Looks
// piece by piece: a command that finds nothing in a whole oplog would take longer than an answer is waited for.
[[nodiscard]] std::optional<oplog::Timestamp> inserted_at(mongo::Client& client, const oplog::Uuid& collection, const bson::Element& id, oplog::Timestamp from, oplog::Timestamp up_to, std::stop_token stop);

// The next piece of (from, up_to] to look at, up to which position; pieces are so many seconds of an oplog's time.
inline constexpr std::uint32_t kPieceSeconds = 60;
[[nodiscard]] oplog::Timestamp end_of_piece(oplog::Timestamp from, oplog::Timestamp up_to);

// Moves the clock of an idle shard past `leader`'s by a note in its oplog, so that its watermark can follow.
void nudge(mongo::Client& leader, mongo::Client& idle);

}  // namespace mongotwin::source
