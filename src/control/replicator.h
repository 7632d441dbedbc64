// SPDX-License-Identifier: Apache-2.0
// Replicator: the conductor. It decides what phase comes next and wires the stages together; the work is in their
// folders. Two threads: `drive` walks through the phases, the one in run() publishes the status and waits for a stop.
// Commands may come from any thread. The StatusBoard must outlive it.
#pragma once

#include <atomic>
#include <deque>
#include <memory>
#include <optional>

#include "apply/index_build_watch.h"
#include "base/gate.h"
#include "base/rate_meter.h"
#include "base/throttle.h"
#include "control/balancer_hold.h"
#include "control/engine.h"
#include "control/pipeline.h"
#include "control/preflight.h"
#include "copy/initial_copy.h"
#include "copy/user_copy.h"

namespace mongotwin::control {

class Replicator final : public cli::Engine {
 public:
  Replicator(options::Options options, status::StatusBoard& board) : options_(std::move(options)), board_(board) {
    throttle({options_.throttle.copy_bytes, options_.throttle.operations, options_.copiers, options_.lanes});
  }
  ~Replicator() override;

  void run(std::stop_token stop) override;
  void pause() override;
  void resume() override;
  void finish() override;
  void throttle(const status::Throttles& throttles) override;
  [[nodiscard]] status::Throttles throttles() const override;

 private:
  using Positions = std::vector<oplog::Timestamp>;
  void drive(std::stop_token stop);
  void connect();
  void copy(std::stop_token stop);
  [[nodiscard]] source::SourceCatalog begin_copy(std::stop_token stop);
  [[nodiscard]] bool can_go_on_copying();
  void follow(std::stop_token stop);
  void find_capped_positions();
  void follow_users(std::stop_token stop);
  [[nodiscard]] Step users_step();
  void finish_link(std::stop_token stop);
  void restore(std::stop_token stop);
  void remember_failure(std::exception_ptr error);
  void release_balancers();
  void release_balancers_of_a_dead_run(mongo::Cluster& source, mongo::Cluster& target);
  // The pipeline from the saved state to the target; the one there is goes on if it only reads so far.
  void open_pipeline(Positions exact_after, std::stop_token stop);
  // Makes the pipeline again when the source's shards have changed; returns the new exact_after, or nothing if there is
  // nothing to do yet.
  [[nodiscard]] std::optional<Positions> follow_shards(std::stop_token stop);
  void change_shards(const Pipeline::ShardChange& change, std::stop_token stop);
  void clear_target(const std::vector<std::string>& drop, const std::vector<std::string>& empty, std::stop_token stop);
  void make_pipeline();
  [[nodiscard]] Positions newest_positions(std::stop_token stop);
  template <class F>
  void retrying(std::stop_token stop, F&& f);

  void set_state(status::State state, std::string detail = {});
  void fail(std::exception_ptr error);
  void publish();
  void fill_positions(status::Status& status);
  void fill_copy(status::Status& status) REQUIRES(m_);

  const options::Options options_;
  status::StatusBoard& board_;
  mongo::Driver driver_;
  SystemClock clock_;
  WaitBoard waits_;
  Throttle copy_throttle_{clock_}, apply_throttle_{clock_};
  Gate copiers_{0};
  std::atomic<int> lanes_{0};

  // Set by drive while it is alone, then only read; run() looks at them under m_.
  std::optional<Pair> pair_;
  std::unique_ptr<apply::TargetLayout> layout_;
  std::unique_ptr<checkpoint::MongoCheckpointStore> store_;
  std::unique_ptr<copy::CopyPlan> plan_;
  apply::Holds holds_;
  apply::IndexBuilds index_builds_;
  std::unique_ptr<apply::DdlApplier> ddl_;
  std::unique_ptr<apply::IndexBuildWatch> index_build_watch_;
  checkpoint::Checkpoint saved_;
  std::unique_ptr<BalancerHold> balancers_;

  Signal drive_signal_;
  mutable Mutex m_;
  std::unique_ptr<copy::InitialCopy> copy_ GUARDED_BY(m_);
  std::unique_ptr<Pipeline> pipeline_ GUARDED_BY(m_);
  status::State state_ GUARDED_BY(m_) = status::State::starting;
  std::string detail_ GUARDED_BY(m_);
  bool paused_ GUARDED_BY(m_) = false;
  std::exception_ptr error_ GUARDED_BY(m_);
  bool connected_ GUARDED_BY(m_) = false;
  std::optional<Pipeline::Observed> last_observed_ GUARDED_BY(m_);
  Pipeline::Observed before_ GUARDED_BY(m_);  // counters of the pipelines before this one
  std::atomic<bool> finish_requested_{false};
  std::unique_ptr<copy::UserCopy> users_;
  Signal users_signal_;
  std::unique_ptr<Worker> users_worker_;  // drive makes and ends it
  RateMeter applied_{std::chrono::seconds(5)}, documents_copied_{std::chrono::seconds(10)}, bytes_copied_{std::chrono::seconds(10)};  // run() only
};

}  // namespace mongotwin::control
