// SPDX-License-Identifier: Apache-2.0
#include "source/oplog_reader.h"

#include <algorithm>

#include "base/error.h"

namespace mongotwin::source {

bool is_relevant(bson::View entry) {
  auto op = entry.string("op").value_or("");
  if (op == "n") return entry.fields("o2")["shardCollection"].type() == bson::Type::String;
  auto ns = entry.string("ns").value_or("");
  if (ns.starts_with("admin.")) return ns == "admin.$cmd";  // transactions
  return !ns.starts_with("config.") && !ns.starts_with("local.") && !ns.starts_with("mongotwin.");
}

void OplogReader::start_at(oplog::Timestamp position) {
  start_ = position;
  open_ = false;
}

void OplogReader::go_on_after(oplog::Timestamp position) {
  start_at(position);
  position_ = position;
}

void OplogReader::take(std::vector<bson::Document> entries) {
  std::int64_t first_wall_ms = entries.empty() ? 0 : entries.front()["wall"].date_ms().value_or(0);
  std::size_t bytes = 0, kept = 0;
  for (auto& entry : entries) {
    bytes += entry.size();
    auto ts = entry["ts"].timestamp().value_or(oplog::Timestamp());
    if (ts <= position_) continue;
    position_ = ts;
    ++entries_read_;
    if (!is_relevant(entry)) continue;
    kept += entry.size();
    pending_.push_back({ts, std::move(entry)});
  }
  // What is kept would keep the whole reply in memory, which no limit counts.
  if (kept < bytes / 2)
    for (auto& record : pending_) record.entry = record.entry.detached();
  has_pending_ = true;
  Lock lock(m_);
  last_contact_ = clock_.now();
  if (first_wall_ms == 0) return;
  if (batch_times_.size() < kBatchTimesMax) batch_times_.push_back({position_, first_wall_ms});
  else batch_times_.back().last = position_;
}

std::optional<std::int64_t> OplogReader::oldest_unapplied_ms(oplog::Timestamp applied) {
  Lock lock(m_);
  while (!batch_times_.empty() && batch_times_.front().last <= applied) batch_times_.pop_front();
  if (batch_times_.empty()) return {};
  return batch_times_.front().first_wall_ms;
}

Step OplogReader::step(std::stop_token stop) {
  try {
    if (has_pending_) {
      Lock lock(append_m_);
      if (ended_) return Step::done;
      if (!journal_.append(shard_, pending_, position_)) {
        set_pause(position_);
        return Step::idle;
      }
      set_pause({});
      has_pending_ = false;
    }
    if (!open_) {
      source_->open(std::max(start_, position_));
      open_ = true;
    }
    take(source_->next(kAwaitData));
    if (troubled_) report_({});
    troubled_ = false;
    backoff_.reset();
    return Step::progress;
  } catch (const Error& e) {
    if (e.remedy() != Remedy::retry) throw;
    open_ = false;
    troubled_ = true;
    report_(e.what());
    return sleep_for(stop, backoff_.next()) ? Step::progress : Step::done;
  }
}

}  // namespace mongotwin::source
