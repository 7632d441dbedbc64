// SPDX-License-Identifier: Apache-2.0
// Merger: the shards' entries in one order by ts. An entry leaves only when every shard has been read past its ts,
// since a document's history crosses shards when the balancer moves it. Shards that hold the others up are named,
// so that their readers can nudge them. Owned by one thread (merge); the Journal must outlive it.
#pragma once

#include <atomic>
#include <cstdint>
#include <deque>
#include <optional>
#include <vector>

#include "journal/journal.h"

namespace mongotwin::plan {

class Merger {
 public:
  struct Merged {
    oplog::ShardIndex shard;
    oplog::Entry entry;
  };

  Merger(journal::Journal& journal, std::size_t shards) : journal_(journal), lots_(shards) {}

  // The next entry in the order, still held; null if some shard has not been read far enough.
  [[nodiscard]] const Merged* peek();
  // Takes the entry that peek() showed.
  Merged pop();

  // Any thread. Entries later than this stay; without a call there is no limit.
  void plan_up_to(oplog::Timestamp horizon) { horizon_ = packed(horizon); }
  [[nodiscard]] oplog::Timestamp horizon() const {
    auto at = horizon_.load();
    return {static_cast<std::uint32_t>(at >> 32), static_cast<std::uint32_t>(at)};
  }
  // Any thread: all that this shard will ever say is in the journal; it holds up nobody any more.
  void end(oplog::ShardIndex shard) { lots_[shard].ended = true; }

  // Per shard: everything up to here has been popped.
  [[nodiscard]] oplog::Timestamp position(oplog::ShardIndex shard) const { return lots_[shard].position; }
  [[nodiscard]] std::size_t shards() const { return lots_.size(); }
  // What has been popped is all that the source wrote up to this moment, of every shard, and nothing later; there is none
  // between two entries of one ts. Positions do not say it: of a shard that is idle now they run ahead of the others.
  [[nodiscard]] oplog::Timestamp moment() const;
  [[nodiscard]] bool between_twins(const Merged& next) const { return next.entry.ts == popped_; }
  // After peek() gave null: the shards that an entry of another shard waits for, and for which ts.
  struct Wait {
    oplog::ShardIndex shard;
    oplog::Timestamp until;
  };
  [[nodiscard]] std::vector<Wait> waits() const;

 private:
  struct Lot {
    std::deque<Merged> entries;
    oplog::Timestamp watermark, position;
    std::atomic<bool> ended{false};
    bool over = false;  // ended, as of the last refill
  };
  void refill(oplog::ShardIndex shard);
  static std::uint64_t packed(oplog::Timestamp ts) { return std::uint64_t{ts.t} << 32 | ts.i; }

  journal::Journal& journal_;
  std::deque<Lot> lots_;
  oplog::Timestamp popped_;  // the last one
  std::atomic<std::uint64_t> horizon_{UINT64_MAX};
};

}  // namespace mongotwin::plan
