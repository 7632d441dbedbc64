// SPDX-License-Identifier: Apache-2.0
// InitialCopy: brings the collections of a SourceCatalog to the target: creates them, copies their documents by
// parallel ranges, builds their indexes, creates the views. When run() returns, every document that existed at the
// start position and still exists is on the target in some state that it had since; the catch-up does the rest.
// What is whole is noted in the CopyPlan at once: a killed copy goes on with the rest.
// run() or go_on() is called once, from one thread; progress() is thread-safe.
#pragma once

#include <deque>
#include <exception>
#include <memory>

#include "apply/ddl_applier.h"
#include "base/annotations.h"
#include "copy/copy_plan.h"
#include "copy/range_copier.h"
#include "status/status.h"

namespace mongotwin::copy {

struct CopyLimits {
  int copiers = 4;
  std::uint64_t range_bytes = 16u << 20;
};

class InitialCopy {
 public:
  using WaitReport = RangeCopier::WaitReport;
  // `note_held` saves what the target's definitions hold back, before an index that does is noted as built.
  InitialCopy(mongo::Cluster& source, mongo::Cluster& target, apply::TargetLayout& layout, apply::DdlApplier& ddl, CopyPlan& plan, Throttle& throttle, CopyLimits limits, WaitReport report,
              std::function<void()> note_held)
      : source_(source), target_(target), layout_(layout), ddl_(ddl), plan_(plan), throttle_(throttle), limits_(limits), report_(std::move(report)), note_held_(std::move(note_held)) {}

  // `planned` is called when the plan is saved. Both throw the first error of any copier, and return early, without
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
  [[nodiscard]] std::vector<CappedPosition> capped_positions(const std::vector<oplog::Timestamp>& resume);

 private:
  struct Task {
    enum Kind { range, indexes } kind = range;
    Range what;
    std::size_t number = 0;  // of the range in the plan
  };
  void add(const source::SourceCollection& from, const oplog::NamespaceFilter& filter);
  void copy_all(const std::vector<source::SourceView>& views, const oplog::NamespaceFilter& filter, std::stop_token stop);
  void save_plan(const std::vector<source::SourceView>& views, std::stop_token stop);
  void take(const Plan& plan);
  void index_when_whole(std::size_t collection) REQUIRES(m_);
  void create_targets(std::stop_token stop);
  void plan_ranges(std::stop_token stop);
  void work(std::size_t copier, std::stop_token stop);
  void do_task(const Task& task, RangeCopier& copier, std::stop_token stop);
  void finish_range(std::size_t collection);
  void recreate(const CollectionCopy& collection, std::stop_token stop);
  std::optional<Task> next_task(std::stop_token stop);
  template <class F>
  void retrying(std::stop_token stop, F&& f);

  mongo::Cluster& source_;
  mongo::Cluster& target_;
  apply::TargetLayout& layout_;
  apply::DdlApplier& ddl_;
  CopyPlan& plan_;
  Throttle& throttle_;
  const CopyLimits limits_;
  WaitReport report_;
  std::function<void()> note_held_;

  mutable Mutex m_;
  std::deque<std::unique_ptr<CollectionCopy>> collections_ GUARDED_BY(m_);
  std::deque<Task> tasks_ GUARDED_BY(m_);
  std::size_t outstanding_ GUARDED_BY(m_) = 0;
  std::size_t ranges_total_ GUARDED_BY(m_) = 0, ranges_done_ GUARDED_BY(m_) = 0;
  std::size_t indexes_total_ GUARDED_BY(m_) = 0, indexes_done_ GUARDED_BY(m_) = 0;
  std::uint64_t bytes_before_ GUARDED_BY(m_) = 0;  // by earlier runs
  std::chrono::steady_clock::time_point started_ GUARDED_BY(m_){};
  std::exception_ptr error_ GUARDED_BY(m_);
  std::condition_variable_any wake_;
};

}  // namespace mongotwin::copy
