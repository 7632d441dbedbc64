// SPDX-License-Identifier: Apache-2.0
#include "journal/memory_journal.h"

#include "base/error.h"

namespace mongotwin::journal {

MemoryJournal::MemoryJournal(std::size_t shards, std::size_t bytes_max_per_shard, Signal& on_append, std::vector<Signal*> on_room)
    : bytes_max_(bytes_max_per_shard), on_append_(on_append), on_room_(std::move(on_room)), lots_(shards) {}

bool MemoryJournal::append(ShardIndex shard, std::vector<Record>& batch, Timestamp read_up_to) {
  auto& lot = lots_.at(shard);
  {
    Lock lock(lot.m);
    if (!batch.empty() && lot.window.bytes() >= bytes_max_) return false;
    TWIN_INVARIANT(read_up_to >= lot.read_up_to);
    lot.window.push(batch);
    lot.read_up_to = read_up_to;
  }
  batch.clear();
  on_append_.notify();
  return true;
}

std::vector<Record> MemoryJournal::take(ShardIndex shard, TakeLimits limits) {
  auto& lot = lots_.at(shard);
  std::vector<Record> out;
  {
    Lock lock(lot.m);
    out = lot.window.take(limits);
  }
  if (!out.empty()) on_room_.at(shard)->notify();
  return out;
}

Timestamp MemoryJournal::read_up_to(ShardIndex shard) const {
  auto& lot = lots_.at(shard);
  Lock lock(lot.m);
  return lot.read_up_to;
}

}  // namespace mongotwin::journal
