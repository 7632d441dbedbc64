// SPDX-License-Identifier: Apache-2.0
// MemoryJournal: a Journal for the simulation and for tests. It forgets with the process: what was not applied is read
// again from the source. Bounded in bytes a shard: when full, the reader waits. Thread-safe.
#pragma once

#include <deque>

#include "base/annotations.h"
#include "base/worker.h"
#include "journal/window.h"

namespace mongotwin::journal {

class MemoryJournal final : public Journal {
 public:
  // `on_append` wakes the merger; `on_room[shard]` that shard's reader. Both must outlive the journal.
  MemoryJournal(std::size_t shards, std::size_t bytes_max_per_shard, Signal& on_append, std::vector<Signal*> on_room);
  [[nodiscard]] bool append(ShardIndex shard, std::vector<Record>& batch, Timestamp read_up_to) override;
  [[nodiscard]] std::vector<Record> take(ShardIndex shard, TakeLimits limits) override;
  [[nodiscard]] Timestamp read_up_to(ShardIndex shard) const override;

 private:
  struct Lot {
    mutable Mutex m;
    Window window GUARDED_BY(m);
    Timestamp read_up_to GUARDED_BY(m);
  };
  const std::size_t bytes_max_;
  Signal& on_append_;
  std::vector<Signal*> on_room_;
  std::deque<Lot> lots_;
};

}  // namespace mongotwin::journal
