// SPDX-License-Identifier: Apache-2.0
// Pipeline: wires the stages from the oplogs to the target and owns their threads: read.<shard>, merge, nudge,
// lane.NN, ddl, ckpt, journal, shards. Reading starts first (a copy may run meanwhile), applying later. The destructor stops
// everything; what was applied and not yet checkpointed is applied again by the next start.
// Used by one thread; the observers and set_lanes() are thread-safe. What is handed in must outlive it.
#pragma once

#include <deque>
#include <exception>
#include <memory>

#include "apply/ddl_applier.h"
#include "base/gate.h"
#include "base/throttle.h"
#include "apply/lane_applier.h"
#include "checkpoint/checkpoint.h"
#include "control/wait_board.h"
#include "journal/disk_journal.h"
#include "journal/spill.h"
#include "plan/planner.h"
#include "source/oplog_reader.h"
#include "source/shard_watch.h"

namespace mongotwin::control {

struct PipelineLimits {
  std::uint64_t memory_bytes = 512'000'000;
  std::string journal_path;
  std::uint64_t journal_bytes = 10'000'000'000;
};

class Pipeline {
 public:
  using ErrorFunction = std::function<void(std::exception_ptr)>;
  Pipeline(mongo::Cluster& source, mongo::Cluster& target, apply::TargetLayout& layout, apply::DdlApplier& ddl, apply::Holds& holds,
           checkpoint::CheckpointStore& store, oplog::NamespaceFilter filter, WaitBoard& waits, Throttle& throttle, PipelineLimits limits, ErrorFunction on_error);
  ~Pipeline();

  void start_reading(const std::vector<oplog::Timestamp>& resume);
  // Instead, without a source: only what an earlier run has read, which must be in the journal.
  void start_from_journal(const std::vector<oplog::Timestamp>& resume);
  struct Start {
    std::vector<oplog::Timestamp> positions, listed_up_to, exact_after;
    std::vector<oplog::Assembler::AwaitedCommit> awaited;
    bool consistent = false;  // unique indexes are in place: a restart, not a first catch-up
  };
  [[nodiscard]] oplog::Catalog& catalog() { return catalog_; }  // to be filled before start_applying
  void start_applying(Start start);

  void set_lanes(int lanes);  // none before the first call; 0: nothing new is applied
  void hold(bool on);
  [[nodiscard]] bool drained() const { return planner_ && planner_->drained(); }  // see Planner
  [[nodiscard]] std::optional<oplog::Timestamp> moment() const { return planner_->moment(); }
  void stop_after(std::vector<oplog::Timestamp> last);
  // The source is given up: nothing is read any more, what was read is applied, then it has stopped.
  void end_reading();
  // Everything up to here that the source has written is in the journal, on every shard.
  [[nodiscard]] oplog::Timestamp complete_up_to() const;
  [[nodiscard]] std::vector<oplog::Timestamp> read() const;  // the same shard by shard
  // The source has other shards than this pipeline reads. It goes on without an added one up to the moment of the
  // addition; a removed one has been read to its end. To be held, drained, and made again.
  struct ShardChange {
    std::vector<source::ShardWatch::Row> added;
    std::vector<oplog::ShardIndex> removed;
    std::vector<oplog::Timestamp> ends;  // of those removed: what must be applied before they may go
  };
  [[nodiscard]] std::optional<ShardChange> shard_change() const;
  [[nodiscard]] bool exact() const { return planner_ && planner_->exact(); }
  [[nodiscard]] bool stopped() const { return planner_ && planner_->stopped(); }
  [[nodiscard]] bool consistent() const { return consistent_; }
  void save_checkpoint() { checkpointer_.save(); }
  // At a drained moment: no transaction that needs an earlier start was open there. Saves the checkpoint to know.
  [[nodiscard]] bool nothing_open();
  void save_phase(checkpoint::Phase phase) { checkpointer_.save_phase(phase); }

  struct Observed {
    std::vector<oplog::Timestamp> read, planned, applied, checkpointed;
    std::uint64_t entries_read = 0, ops_applied = 0;
    std::map<std::string, std::uint64_t> by_kind;
    std::chrono::milliseconds since_contact{0};  // of the shard that was silent longest
    std::optional<std::int64_t> oldest_unapplied_ms;  // see OplogReader
    journal::DiskJournal::Size journal;
  };
  [[nodiscard]] Observed observe();

 private:
  struct DdlJob {
    std::vector<std::shared_ptr<const oplog::Ddl>> ddls;
    std::uint64_t epoch = 0;
    bool consistency = false;
  };
  plan::LaneQueue& make_lane();
  void change_lanes();
  [[nodiscard]] Step merge_step();
  [[nodiscard]] Step ddl_step(std::stop_token stop);
  [[nodiscard]] Step nudge_step();
  [[nodiscard]] std::vector<plan::Merger::Wait> left_behind();
  [[nodiscard]] Step checkpoint_step();
  [[nodiscard]] Step journal_step();
  [[nodiscard]] std::string room_on_the_source();
  [[nodiscard]] Step shards_step();
  void look_at_shards(oplog::Timestamp at, oplog::ShardIndex leader);
  void run_ddl(const DdlJob& job, std::stop_token stop);
  void bring_in(const oplog::Ddl& ddl, std::stop_token stop);
  void nudge(const plan::Merger::Wait& wait);
  template <class F>
  void retrying(const char* component, std::stop_token stop, F&& f);
  void push_ddl(DdlJob job);

  mongo::Cluster& source_;
  mongo::Cluster& target_;
  apply::TargetLayout& layout_;
  apply::DdlApplier& ddl_;
  WaitBoard& waits_;
  Throttle& throttle_;                 // of operations
  std::uint64_t ops_charged_ = 0;      // merge only
  std::atomic<int> lanes_wanted_{0};
  const PipelineLimits limits_;
  Gate write_room_;                    // in bytes: what lanes may take beside their batches
  ErrorFunction on_error_;
  SystemClock clock_;

  Signal merge_signal_, ddl_signal_, nudge_signal_, checkpoint_signal_, shards_signal_, journal_signal_;
  std::deque<Signal> reader_signals_, lane_signals_;
  std::unique_ptr<journal::DiskJournal> journal_;
  journal::Spill open_transactions_;
  oplog::Catalog catalog_;
  plan::Frontier frontier_{merge_signal_};
  checkpoint::Checkpointer checkpointer_;
  plan::Merger merger_;
  std::unique_ptr<oplog::Assembler> assembler_;
  apply::ParkingLot lot_{clock_, waits_.reporter("merge")};
  std::unique_ptr<apply::TargetWriter> resolver_writer_;
  std::deque<plan::LaneQueue> lane_queues_;  // pushed by merge, popped by its lane; full: merge is idle
  std::deque<apply::LaneApplier> lanes_;
  std::unique_ptr<plan::Planner> planner_;
  std::deque<source::OplogReader> readers_;
  std::vector<oplog::Timestamp> resume_;     // where they begin
  bool alone_ = false;                       // there is no source to be asked
  std::vector<oplog::Timestamp> exact_after_;
  BoundedQueue<DdlJob> ddl_queue_;           // pushed by merge, popped by ddl; holds at most one job
  std::atomic<bool> consistent_{false};

  std::unique_ptr<source::ShardWatch> shard_watch_;                 // shards only, as the two below
  std::map<std::string, oplog::Timestamp> drained_at_;              // a shard that owned nothing any more at that position of its own
  oplog::Timestamp looked_at_;

  mutable Mutex m_;
  std::optional<ShardChange> shard_change_ GUARDED_BY(m_);
  std::vector<plan::Merger::Wait> merger_waits_ GUARDED_BY(m_);
  std::vector<oplog::Timestamp> evened_;  // nudge only
  // Last: their destructors join before anything above goes. Those of the lanes are merge's once it runs.
  std::deque<Worker> lane_workers_, workers_;
};

}  // namespace mongotwin::control
