// SPDX-License-Identifier: Apache-2.0
// InitialCopy: brings the collections of a SourceCatalog to the target: creates them, copies their documents by
// parallel ranges, builds their indexes, creates the views. When run() returns, every document that existed at the
// start position and still exists is on the target in some state that it had since; the catch-up does the rest.
// run() is called once, from one thread; progress() is thread-safe.
#pragma once

#include <deque>
#include <exception>
#include <memory>

#include "apply/ddl_applier.h"
#include "base/annotations.h"
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
  InitialCopy(mongo::Cluster& source, mongo::Cluster& target, apply::TargetLayout& layout, apply::DdlApplier& ddl, CopyLimits limits, WaitReport report)
      : source_(source), target_(target), layout_(layout), ddl_(ddl), limits_(limits), report_(std::move(report)) {}

  // Throws the first error of any copier. Returns early, without having finished, on a stop request.
  void run(const source::SourceCatalog& catalog, const oplog::NamespaceFilter& filter, std::stop_token stop);
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
  };
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
  const CopyLimits limits_;
  WaitReport report_;

  mutable Mutex m_;
  std::deque<std::unique_ptr<CollectionCopy>> collections_ GUARDED_BY(m_);
  std::deque<Task> tasks_ GUARDED_BY(m_);
  std::size_t outstanding_ GUARDED_BY(m_) = 0;
  std::size_t ranges_total_ GUARDED_BY(m_) = 0, ranges_done_ GUARDED_BY(m_) = 0;
  std::size_t indexes_total_ GUARDED_BY(m_) = 0, indexes_done_ GUARDED_BY(m_) = 0;
  std::chrono::steady_clock::time_point started_ GUARDED_BY(m_){};
  std::exception_ptr error_ GUARDED_BY(m_);
  std::condition_variable_any wake_;
};

}  // namespace mongotwin::copy
