// SPDX-License-Identifier: Apache-2.0
// Twin: one process of mongotwin as control/replicator.cpp and control/pipeline.cpp wire it up, without threads: step()
// lets one of the real stages, chosen by chance, do its bounded piece of work. Losing the object is the process's death.
#pragma once

#include <deque>
#include <memory>

#include "apply/lane_applier.h"
#include "checkpoint/checkpoint.h"
#include "journal/memory_journal.h"
#include "plan/planner.h"
#include "source/oplog_reader.h"
#include "target.h"

namespace mongotwin::sim {

class SimClock final : public Clock {
 public:
  [[nodiscard]] Steady now() const override { return now_; }
  [[nodiscard]] std::chrono::system_clock::time_point wall() const override { return {}; }
  // More than any back-off, whose jitter is not the seed's: a wait is over after one call, and never before it.
  void pass() { now_ += std::chrono::seconds(20); }

 private:
  Steady now_{std::chrono::hours(1)};
};

class Store final : public checkpoint::CheckpointStore {
 public:
  explicit Store(Target& target) : target_(target) {}
  [[nodiscard]] std::optional<bson::Document> load() override;
  void save(bson::View fields) override;
  void remove() override { fields_.clear(); }

 private:
  Target& target_;
  std::map<std::string, bson::Document> fields_;  // each as a document of one field
};

struct Settings {
  int lanes = 4;
  plan::PlannerLimits planner;
  std::size_t journal_bytes = 10'000;
  std::size_t lane_batches = 2;
};

class Twin {
 public:
  Twin(Random& random, Source& source, Target& target, Store& store, SimClock& clock, const Settings& settings, Trace trace);

  void step();
  void hold(bool on);
  void share_among(int lanes) {
    if (planner_) planner_->share_among(static_cast<std::size_t>(lanes));
  }
  void stop_after(std::vector<Timestamp> last) { planner_->stop_after(std::move(last)); }
  [[nodiscard]] bool following() const { return planner_ != nullptr; }
  [[nodiscard]] bool stopped() const { return planner_ && planner_->stopped(); }
  // Everything planned is on the target, which is to be a state that the source has had: which one, or nothing.
  [[nodiscard]] std::optional<std::vector<Timestamp>> drained_at() const;
  // While held and drained: the source's one moment that the target is said to be like.
  [[nodiscard]] std::optional<Timestamp> moment() const;
  [[nodiscard]] std::string broken_law() const;
  [[nodiscard]] std::string where() const;

 private:
  // The initial copy, in small steps.
  struct Place {
    int collection;
    std::string ns;
    bool capped;
    std::vector<bson::Document> indexes;
    std::string after;  // the last key copied
    bool sharded, done = false;
  };
  void copy_step();
  void list();
  void copy_some(Place& place);
  void follow();
  void start_reading();

  struct Job {
    std::vector<std::shared_ptr<const oplog::Ddl>> ddls;
    std::uint64_t epoch = 0;
    bool consistency = false, checkpointed = false, tried = false;
    std::size_t next = 0;
  };
  void ddl_step();
  void run_ddl();
  void nudge();
  void checkpoint();

  Random& random_;
  Source& source_;
  Target& target_;
  Store& store_;
  SimClock& clock_;
  const Settings& settings_;
  Trace trace_;

  Signal signal_;
  checkpoint::Checkpoint saved_;
  apply::Holds holds_;
  oplog::Catalog catalog_{oplog::NamespaceFilter()};
  journal::MemoryJournal journal_;
  plan::Frontier frontier_{signal_};
  checkpoint::Checkpointer checkpointer_;
  plan::Merger merger_;
  std::unique_ptr<oplog::Assembler> assembler_;
  apply::ParkingLot lot_;
  FakeWriter resolver_;
  std::deque<plan::LaneQueue> queues_;
  std::deque<apply::LaneApplier> lanes_;
  std::unique_ptr<plan::Planner> planner_;
  std::deque<source::OplogReader> readers_;
  std::optional<Job> job_;
  bool consistent_ = false;
  int copy_phase_ = 0;
  std::vector<Place> places_;
};

}  // namespace mongotwin::sim
