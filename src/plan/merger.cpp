// SPDX-License-Identifier: Apache-2.0
#include "plan/merger.h"

#include <algorithm>

#include "base/error.h"

namespace mongotwin::plan {

using oplog::ShardIndex;
using oplog::Timestamp;

void Merger::refill(ShardIndex shard) {
  auto& lot = lots_[shard];
  if (!lot.entries.empty()) return;
  lot.over = lot.ended;
  // The watermark first: if nothing comes after it was read, all up to it has been taken.
  auto watermark = journal_.read_up_to(shard);
  for (auto& record : journal_.take(shard, {})) lot.entries.push_back({shard, oplog::parse_entry(std::move(record.entry))});
  lot.watermark = watermark;
  if (lot.entries.empty() && watermark > lot.position) lot.position = watermark;
}

const Merger::Merged* Merger::peek() {
  Lot* first = nullptr;
  for (ShardIndex s = 0; s < lots_.size(); ++s) {
    refill(s);
    auto& lot = lots_[s];
    if (!lot.entries.empty() && (!first || lot.entries.front().entry.ts < first->entries.front().entry.ts)) first = &lot;
  }
  if (!first) return nullptr;
  auto ts = first->entries.front().entry.ts;
  if (packed(ts) > horizon_) return nullptr;
  for (const auto& lot : lots_)
    if (lot.entries.empty() && lot.watermark < ts && !lot.over) return nullptr;
  return &first->entries.front();
}

Merger::Merged Merger::pop() {
  const auto* next = peek();
  TWIN_INVARIANT(next != nullptr);
  auto& lot = lots_[next->shard];
  auto out = std::move(lot.entries.front());
  lot.entries.pop_front();
  TWIN_INVARIANT(out.entry.ts >= lot.position);
  lot.position = popped_ = out.entry.ts;
  return out;
}

Timestamp Merger::moment() const {
  auto before = [](Timestamp ts) { return ts.i > 0 ? Timestamp{ts.t, ts.i - 1} : Timestamp{ts.t - 1, UINT32_MAX}; };
  auto at = horizon();
  bool any = false;
  for (const auto& lot : lots_) {
    if (lot.entries.empty() && lot.over) continue;
    at = std::min(at, lot.entries.empty() ? std::max(lot.watermark, lot.position) : before(lot.entries.front().entry.ts));
    any = true;
  }
  return any ? at : popped_;
}

std::vector<Merger::Wait> Merger::waits() const {
  Timestamp until;
  bool any = false;
  for (const auto& lot : lots_)
    if (!lot.entries.empty() && (!any || lot.entries.front().entry.ts < until)) {
      until = lot.entries.front().entry.ts;
      any = true;
    }
  std::vector<Wait> out;
  for (ShardIndex s = 0; any && s < lots_.size(); ++s)
    if (lots_[s].entries.empty() && lots_[s].watermark < until && !lots_[s].over) out.push_back({s, until});
  return out;
}

}  // namespace mongotwin::plan
