// SPDX-License-Identifier: Apache-2.0
// Planner: merged entries become epochs. An epoch is a prefix-closed group of operations (whole transactions), shared
// out to the lanes by document; DDL is an epoch of its own between two barriers. A document's operations always go to
// the same lane, so they stay in order without locks. Every step() does a bounded piece of work.
// Owned by one thread (merge); everything handed in must outlive it.
#pragma once

#include <atomic>
#include <deque>
#include <functional>
#include <memory>

#include "base/bounded_queue.h"
#include "plan/batch.h"
#include "plan/frontier.h"
#include "plan/merger.h"

namespace mongotwin::plan {

// pushed by: merge; popped by: one lane. When full, the planner is idle until the lane pops.
using LaneQueue = BoundedQueue<LaneBatch>;

struct PlannerLimits {
  std::size_t epoch_ops_max = 8'000;
  std::size_t epoch_bytes_max = 12u << 20;
  std::size_t epochs_in_flight_max = 4;
  std::size_t bytes_in_flight_max = 64u << 20;  // one epoch may be larger
  std::size_t entries_per_step = 512;
};

// What an epoch outside the lanes needs. Each function is called by the merge thread with nothing else in flight.
struct BarrierWork {
  // Starts the DDL elsewhere; frontier.part_done(epoch) is called at its end, from any thread.
  std::function<void(std::vector<std::shared_ptr<const oplog::Ddl>> ddls, std::uint64_t epoch)> start_ddl;
  // Once, when the first exact position is reached: what had to wait for a consistent target. Ends like start_ddl.
  std::function<void(std::uint64_t epoch)> start_consistency;
  // Documents that lanes set aside because of a clash on a unique index. resolve_parked: false to be called again later.
  std::function<bool()> has_parked;
  std::function<bool()> resolve_parked;
};

class Planner {
 public:
  Planner(PlannerLimits limits, Merger& merger, oplog::Assembler& assembler, oplog::Catalog& catalog, Frontier& frontier,
          std::vector<LaneQueue*> lanes, BarrierWork work);

  // Entries up to start[shard] were applied before (the checkpoint); up to `exact_after[shard]` the target may already
  // be newer than the operations, so they are applied tolerantly. resume[shard]: where that shard's reader begins, at
  // the oldest open transaction.
  void start_at(std::vector<oplog::Timestamp> start, std::vector<oplog::Timestamp> exact_after, std::vector<oplog::Timestamp> resume);
  [[nodiscard]] Step step();

  // One more than there are; it gets work when share_among() says so. By the thread that steps.
  void add_lane(LaneQueue& queue);
  // Any thread. The first `lanes` of them get the work from the next moment on at which none is under way; 0: nothing
  // new is planned. Without a call all there are get it.
  void share_among(std::size_t lanes) { lanes_wanted_ = lanes; }
  // Any thread. While held, nothing new is planned; what is planned runs to its end.
  void hold(bool on);
  // Any thread: held, and everything that was planned is on the target: no write is under way until hold(false).
  [[nodiscard]] bool drained() const;
  // Any thread, while drained or stopped: the source's moment that the target is like. None while some shard has not been
  // planned up to what the target had before this planner started, or was copied with: then go on for a while, and hold again.
  [[nodiscard]] std::optional<oplog::Timestamp> moment() const;
  // Any thread, after start_at. The newest that the target may have had then: no moment is before it.
  [[nodiscard]] oplog::Timestamp known_before() const { return known_before_; }
  // Any thread: stop planning when every shard's position has reached `last[shard]`; again for a later end.
  void stop_after(std::vector<oplog::Timestamp> last);
  // Any thread: stop when nothing more can come of what has been read; the readers must have ended. Then the target is
  // exact, whatever exact_after says: it can't hold what was never read.
  void stop_at_the_end();
  [[nodiscard]] bool stopped() const { return stopped_; }  // reached stop_after and everything is applied
  [[nodiscard]] std::vector<oplog::Timestamp> planned() const;
  // True once every shard's position is past exact_after and no transaction is applied in part: from here on every cut
  // is a state that the source has had.
  [[nodiscard]] bool exact() const { return exact_; }
 private:
  enum class Go { on, idle, again };
  [[nodiscard]] Go gates();               // everything that may hold planning up
  [[nodiscard]] Go change_lanes();        // documents go to other lanes only when no lane has any
  [[nodiscard]] Go become_exact();
  [[nodiscard]] Go work_off_backlog();    // operations of the last entry that are not planned yet
  [[nodiscard]] bool entry_done() const { return backlog_.empty() && !assembler_.has_more(); }
  [[nodiscard]] Go plan_next();
  void take(std::vector<oplog::Op> ops);
  void add(const oplog::Op& op);
  void close_epoch(bool with_cut);
  void close_ddl(std::vector<std::shared_ptr<const oplog::Ddl>> ddls, bool with_cut);
  [[nodiscard]] Cut make_cut();
  [[nodiscard]] bool at_the_end() const;  // what comes next is all there will be
  [[nodiscard]] bool hand_over();         // false if a lane's queue is full
  [[nodiscard]] bool reached(const std::vector<oplog::Timestamp>& goal) const;
  [[nodiscard]] bool rebuilt() const;     // everything up to the start is read again: all open transactions are known
  [[nodiscard]] std::vector<oplog::Timestamp> positions() const;
  // With what comes next, which may be larger than a whole epoch.
  [[nodiscard]] bool epoch_full(std::size_t next_bytes) const { return open_ops_ >= limits_.epoch_ops_max || (open_ops_ > 0 && open_bytes_ + next_bytes > limits_.epoch_bytes_max); }
  [[nodiscard]] bool room_in_flight() const;
  [[nodiscard]] Step settle();            // no input: close what is open, or record that positions moved
  [[nodiscard]] bool lanes_quiet() const;

  const PlannerLimits limits_;
  Merger& merger_;
  oplog::Assembler& assembler_;
  oplog::Catalog& catalog_;
  Frontier& frontier_;
  std::vector<LaneQueue*> lanes_;
  BarrierWork work_;

  std::size_t lanes_used_;         // the first ones of lanes_
  std::vector<BatchBuilder> builders_;
  std::vector<std::optional<LaneBatch>> waiting_;
  std::deque<oplog::Op> backlog_;  // of the last entry; more than one epoch if DDL is among them
  std::size_t open_ops_ = 0, open_bytes_ = 0;
  std::map<std::string, std::uint64_t> open_by_kind_;
  std::vector<oplog::Timestamp> start_, exact_after_, resume_, last_cut_;
  oplog::Timestamp known_before_;
  bool barrier_ = false;

  std::atomic<std::size_t> lanes_wanted_;
  std::atomic<bool> held_{false}, stopped_{false}, exact_{false};
  mutable Mutex m_;
  std::vector<oplog::Timestamp> planned_ GUARDED_BY(m_);
  std::optional<std::vector<oplog::Timestamp>> stop_after_ GUARDED_BY(m_);
  bool stop_at_the_end_ GUARDED_BY(m_) = false;
  bool drained_ GUARDED_BY(m_) = false;
  std::optional<oplog::Timestamp> moment_ GUARDED_BY(m_);
};

}  // namespace mongotwin::plan
