// SPDX-License-Identifier: Apache-2.0
// InitialCopy: brings the collections of a SourceCatalog to the target: creates them, copies their documents by
// parallel ranges, builds their indexes, creates the views. When run() returns, every document that existed at the
// start position and still exists is on the target in some state that it had since; the catch-up does the rest.
// What is whole is noted in the CopyPlan at once: a killed copy goes on with the rest.
// Threads: copy.read.NN hand batches to copy.write.NN through one queue, copy.index.NN build indexes meanwhile.
// run() or go_on() is called once, from one thread; progress() is thread-safe.
#pragma once

#include <deque>
#include <exception>
#include <memory>
#include <set>
#include <thread>

#include "apply/ddl_applier.h"
#include "base/annotations.h"
#include "copy/batch_writer.h"
#include "copy/copy_plan.h"
#include "copy/range_reader.h"
#include "copy/range_run.h"
#include "status/status.h"

namespace mongotwin::copy {

struct CopyLimits {
  std::function<int()> copiers = [] { return 4; };  // readers, and as many writers; may change at any time, 0 pauses
  int index_builds = 3;                             // collections whose indexes are built at once
  bool indexes_before = false;                      // the documents
  Reading reading = Reading::automatic;
  mongo::ReadPreference preference = mongo::ReadPreference::primary;
  std::uint64_t memory_bytes = 128'000'000;         // of what is on its way; the driver's own buffers come to it
  std::uint64_t range_bytes = 16u << 20;
};

class InitialCopy {
 public:
  // `note_held` saves what the target's definitions hold back, before an index that does is noted as built.
  // `start`: per shard, the position from which the oplog is replayed.
  InitialCopy(mongo::Cluster& source, mongo::Cluster& target, apply::TargetLayout& layout, apply::DdlApplier& ddl, CopyPlan& plan, Throttle& throttle, CopyLimits limits,
              std::vector<oplog::Timestamp> start, WaitReport report, std::function<void()> note_held)
      : source_(source), target_(target), layout_(layout), ddl_(ddl), plan_(plan), throttle_(throttle), limits_(std::move(limits)), start_(std::move(start)), report_(std::move(report)),
        note_held_(std::move(note_held)), replies_(limits_.memory_bytes / 2), commands_(limits_.memory_bytes / 2) {}

  // `planned` is called when the plan is saved. Both throw the first error of any thread, and return early, without
  // having finished, on a stop request.
  void run(const source::SourceCatalog& catalog, const oplog::NamespaceFilter& filter, const std::function<void()>& planned, std::stop_token stop);
  void go_on(const oplog::NamespaceFilter& filter, std::stop_token stop);
  [[nodiscard]] status::CopyProgress progress() const;
  // For capped collections, after run(): when the last document that was copied had been inserted, if that was after
  // reading began.
  struct CappedPosition {
    oplog::Uuid uuid;
    oplog::Timestamp ts;
  };
  [[nodiscard]] std::vector<CappedPosition> capped_positions(const std::vector<oplog::Timestamp>& resume, std::stop_token stop);

 private:
  struct Item {
    CollectionCopy copy;
    std::size_t ranges_left = 0;
    bool indexed = false;
    std::set<std::string> versions;  // of its ranges in natural order: more than one means that documents moved meanwhile
  };
  struct Queued {
    std::shared_ptr<RangeRun> run;
    std::size_t number = 0;  // of the batch in its range
    Batch batch;
  };
  class QueueSink;
  class OrderedSink;

  void add(const source::SourceCollection& from, const oplog::NamespaceFilter& filter);
  void create_targets(std::stop_token stop);
  void plan_ranges(std::stop_token stop);
  [[nodiscard]] Reading reading_of(const CollectionCopy& collection) const;
  void add_range(const Range& range, std::size_t number, Size before) REQUIRES(m_);
  void save_plan(const std::vector<source::SourceView>& views, std::stop_token stop);
  void take(const Plan& plan);
  void copy_all(const std::vector<source::SourceView>& views, const oplog::NamespaceFilter& filter, std::stop_token stop);
  void run_threads(std::stop_token stop);
  template <class F>
  void guarded(const std::string& name, F&& work);
  template <class Ready>
  void wait_for(std::stop_token stop, Ready ready) REQUIRES(m_);

  void read_ranges(int number, std::stop_token stop);
  [[nodiscard]] std::shared_ptr<RangeRun> next_range(int number, std::stop_token stop);
  void write_batches(int number, std::stop_token stop);
  [[nodiscard]] std::optional<Queued> next_batch(int number, std::stop_token stop);
  void build_indexes(std::stop_token stop);
  void build_indexes_of(std::size_t collection, std::stop_token stop);
  void finish_range(RangeRun& run, std::stop_token stop);
  void collection_is_whole(std::size_t collection, std::stop_token stop);
  void read_by_id(std::size_t collection, std::stop_token stop);
  void recreate(std::size_t collection, std::stop_token stop);
  [[nodiscard]] Item& item(std::size_t collection);

  mongo::Cluster& source_;
  mongo::Cluster& target_;
  apply::TargetLayout& layout_;
  apply::DdlApplier& ddl_;
  CopyPlan& plan_;
  Throttle& throttle_;
  const CopyLimits limits_;
  const std::vector<oplog::Timestamp> start_;
  WaitReport report_;
  std::function<void()> note_held_;
  ByteBudget replies_, commands_;  // bytes on their way

  mutable Mutex m_;
  std::condition_variable_any wake_;
  std::deque<std::unique_ptr<Item>> items_ GUARDED_BY(m_);
  std::deque<std::shared_ptr<RangeRun>> ranges_ GUARDED_BY(m_);
  std::deque<Queued> queue_ GUARDED_BY(m_);
  std::deque<std::size_t> to_index_ GUARDED_BY(m_);
  std::set<std::size_t> indexing_ GUARDED_BY(m_);
  std::size_t outstanding_ GUARDED_BY(m_) = 0;  // ranges, and collections to be indexed
  std::size_t next_number_ GUARDED_BY(m_) = 0;
  std::size_t ranges_total_ GUARDED_BY(m_) = 0, ranges_done_ GUARDED_BY(m_) = 0;
  std::size_t indexes_total_ GUARDED_BY(m_) = 0, indexes_done_ GUARDED_BY(m_) = 0;
  std::uint64_t bytes_before_ GUARDED_BY(m_) = 0;  // by earlier runs
  std::chrono::steady_clock::time_point started_ GUARDED_BY(m_){};
  std::exception_ptr error_ GUARDED_BY(m_);
  std::stop_source halt_;  // by a stop request, an error, or because all is done
};

}  // namespace mongotwin::copy
