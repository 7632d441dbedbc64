// SPDX-License-Identifier: Apache-2.0
// OplogReader: moves one shard's entries into the Journal: drops what can't matter (it still moves the position, or
// an idle source would fall off its oplog), waits when the journal is full, opens again after passing trouble.
// Owned by one thread (read.<shard>); everything handed in must outlive it. Counters may be read from any thread.
#pragma once

#include <atomic>
#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <stop_token>

#include "base/annotations.h"
#include "base/backoff.h"
#include "base/clock.h"
#include "base/worker.h"
#include "source/oplog_source.h"

namespace mongotwin::source {

class OplogReader {
 public:
  using WaitReport = std::function<void(const std::string& reason)>;  // empty: the trouble is over

  OplogReader(oplog::ShardIndex shard, std::unique_ptr<OplogSource> source, journal::Journal& journal, const Clock& clock, WaitReport report)
      : shard_(shard), source_(std::move(source)), journal_(journal), clock_(clock), report_(std::move(report)) {}
  // Before the first step: where to begin; the entry at `position` itself is given too (it may start a transaction).
  void start_at(oplog::Timestamp position);
  // Or: everything up to `position` is in the journal already.
  void go_on_after(oplog::Timestamp position);
  [[nodiscard]] Step step(std::stop_token stop);
  // Any thread: from now on nothing comes into the journal any more, whatever is under way.
  void end() {
    Lock lock(append_m_);
    ended_ = true;
  }

  [[nodiscard]] std::uint64_t entries_read() const { return entries_read_; }
  // When the oldest entry that is read but not among those up to `applied` was written on the source, in milliseconds
  // since 1970 by its own clock; as exact as a batch. Empty when there is none.
  [[nodiscard]] std::optional<std::int64_t> oldest_unapplied_ms(oplog::Timestamp applied);
  // Where reading pauses, since the journal has no room for what follows.
  [[nodiscard]] std::optional<oplog::Timestamp> pauses_at() const {
    Lock lock(m_);
    return pauses_at_;
  }
  // When the server last answered, whether or not there was news.
  [[nodiscard]] Clock::Steady last_contact() const {
    Lock lock(m_);
    return last_contact_;
  }

 private:
  static constexpr std::chrono::milliseconds kAwaitData{500};
  void take(std::vector<bson::Document> entries);
  void set_pause(std::optional<oplog::Timestamp> at) {
    Lock lock(m_);
    pauses_at_ = at;
  }

  const oplog::ShardIndex shard_;
  std::unique_ptr<OplogSource> source_;
  journal::Journal& journal_;
  const Clock& clock_;
  WaitReport report_;
  Backoff backoff_;
  oplog::Timestamp start_, position_;  // position_: the last entry taken, null before the first
  bool open_ = false, troubled_ = false;
  std::vector<journal::Record> pending_;
  bool has_pending_ = false;
  std::atomic<std::uint64_t> entries_read_{0};
  Mutex append_m_;
  bool ended_ GUARDED_BY(append_m_) = false;
  mutable Mutex m_;
  Clock::Steady last_contact_ GUARDED_BY(m_){};
  std::optional<oplog::Timestamp> pauses_at_ GUARDED_BY(m_);
  struct BatchTime {
    oplog::Timestamp last;
    std::int64_t first_wall_ms;
  };
  static constexpr std::size_t kBatchTimesMax = 10'000;  // beyond, the oldest ones stand for those after them
  std::deque<BatchTime> batch_times_ GUARDED_BY(m_);
};

// Whether an entry can mean anything for the target.
[[nodiscard]] bool is_relevant(bson::View entry);

}  // namespace mongotwin::source
