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
#include "base/backoff.h"
#include "base/gate.h"
#include "base/rate_meter.h"
#include "base/throttle.h"
#include "control/balancer_hold.h"
#include "control/engine.h"
#include "control/failover.h"
#include "control/pipeline.h"
#include "control/preflight.h"
#include "control/rejoin.h"
#include "control/switchover.h"
#include "copy/initial_copy.h"
#include "copy/user_copy.h"
#include "verify/verifier.h"

namespace mongotwin::control {

class Replicator final : public cli::Engine, private verify::Replication {
 public:
  Replicator(options::Options options, status::StatusBoard& board) : configured_(std::move(options)), board_(board) {
    throttle({configured_.throttle.copy_bytes, configured_.throttle.operations, configured_.copiers, configured_.lanes, configured_.verify.bytes_per_second});
  }
  ~Replicator() override;

  void run(std::stop_token stop) override;
  void pause() override;
  void resume() override;
  void finish() override;
  void throttle(const status::Throttles& throttles) override;
  [[nodiscard]] status::Throttles throttles() const override;
  [[nodiscard]] std::vector<status::Condition> switch_over(bool dry_run) override;
  void fail_over(bool force) override;
  void rejoin(bool may_copy) override;
  void verify(const status::VerifyRequest& request) override;
  void cancel_verification() override;
  [[nodiscard]] std::optional<status::Verification> verification() const override;
  [[nodiscard]] status::VerifyRequest usual_verification() const override { return {configured_.verify.bytes, false, {}}; }

 private:
  using Positions = std::vector<oplog::Timestamp>;
  [[nodiscard]] bool at_cut(const std::function<void(const verify::Cut&)>& work, std::stop_token stop) override;
  [[nodiscard]] bool is_running() const override { return true; }
  // The pipeline, held, once it can be; none on a stop.
  [[nodiscard]] Pipeline* take_cut(std::stop_token stop);
  void make_verifier() REQUIRES(m_);
  // Definitions, counts and samples, while nothing is applied and the pipeline stands at the source's end. Always returns:
  // what could not be done is its `failure`.
  [[nodiscard]] status::Verification look_quickly(std::chrono::milliseconds budget, std::stop_token stop);
  void end_verifier();
  void drive(std::stop_token stop);
  void follow_pair(std::stop_token stop);
  void connect(std::stop_token stop);
  void reconnect(std::stop_token stop);
  void let_go();
  [[nodiscard]] Step owner_step();
  void copy(std::stop_token stop);
  [[nodiscard]] source::SourceCatalog begin_copy(std::stop_token stop);
  [[nodiscard]] bool can_go_on_copying();
  void follow(std::stop_token stop);
  void find_capped_positions(std::stop_token stop);
  void follow_users(std::stop_token stop);
  [[nodiscard]] Step users_step();
  void finish_link(std::stop_token stop);
  // handover.cpp
  [[nodiscard]] Switchover make_switchover();
  void demand_no_handover() const REQUIRES(m_);
  void demand_replicating() const REQUIRES(m_);
  void demand_can_fail_over() const REQUIRES(m_);
  void change_roles(std::stop_token stop);
  void take_over(std::stop_token stop);
  void stand_alone(std::stop_token stop);
  void take_in_again(std::stop_token stop);
  void note_replicating() REQUIRES(m_);
  void begin_handover(const char* kind, std::atomic<bool>& request) REQUIRES(m_);
  void wait_until_published();
  void set_handover(const std::function<void(status::Handover&)>& change);
  void restore(std::stop_token stop);
  void remember_failure(std::exception_ptr error);
  void release_balancers();
  void release_balancers_of_a_dead_run(mongo::Cluster& source, mongo::Cluster& target);
  // The pipeline from the saved state to the target; the one there is goes on if it only reads so far.
  void open_pipeline(Positions exact_after, std::stop_token stop);
  // Makes the pipeline again when the source's shards have changed; returns the new exact_after, or nothing if there is
  // nothing to do yet.
  [[nodiscard]] std::optional<Positions> follow_shards(std::stop_token stop);
  void look_for_shards(mongo::Cluster& cluster);
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
  [[nodiscard]] std::int64_t lag_ms(const Pipeline::Observed& observed) const;
  void fill_copy(status::Status& status) REQUIRES(m_);

  const options::Options configured_;
  options::Options options_;  // as the roles are now; drive's, and under m_ for others
  status::StatusBoard& board_;
  mongo::Driver driver_;
  SystemClock clock_;
  WaitBoard waits_;
  Throttle copy_throttle_{clock_}, apply_throttle_{clock_}, verify_throttle_{clock_};
  Gate copiers_{0};
  std::atomic<int> lanes_{0};

  // Set by drive while it is alone, then only read; run() looks at them under m_.
  std::shared_ptr<Pair> pair_;  // replaced under m_ by a later connection; whoever looks longer keeps a share
  std::unique_ptr<apply::TargetLayout> layout_;
  std::unique_ptr<checkpoint::MongoCheckpointStore> store_;
  std::unique_ptr<copy::CopyPlan> plan_;
  apply::Holds holds_;
  Mutex held_m_;  // while threads of the copy save what is held: an older state of it must not arrive last
  apply::IndexBuilds index_builds_;
  std::unique_ptr<apply::DdlApplier> ddl_;
  std::unique_ptr<apply::IndexBuildWatch> index_build_watch_;
  checkpoint::Checkpoint saved_;
  std::unique_ptr<BalancerHold> balancers_;
  Signal owner_signal_;
  std::unique_ptr<Worker> owner_watch_;  // drive makes and ends it: not all states save anything, by which a new owner would be noticed

  Signal drive_signal_;
  Mutex shape_m_;  // held while a cluster gets or loses a shard; before m_
  mutable Mutex m_;
  std::unique_ptr<copy::InitialCopy> copy_ GUARDED_BY(m_);
  std::unique_ptr<Pipeline> pipeline_ GUARDED_BY(m_);
  status::State state_ GUARDED_BY(m_) = status::State::starting;
  std::string detail_ GUARDED_BY(m_);
  bool paused_ GUARDED_BY(m_) = false;
  bool cut_taken_ GUARDED_BY(m_) = false;  // by at_cut(): the pipeline is held and must stay
  std::exception_ptr error_ GUARDED_BY(m_);
  bool connected_ GUARDED_BY(m_) = false;
  std::optional<Pipeline::Observed> last_observed_ GUARDED_BY(m_);
  Pipeline::Observed before_ GUARDED_BY(m_);  // counters of the pipelines before this one
  std::atomic<bool> finish_requested_{false}, switch_requested_{false}, failover_requested_{false}, rejoin_requested_{false}, rejoin_may_copy_{false};
  std::string finish_report_;  // drive
  bool again_ = false;  // drive: the pair is to be connected to anew, its roles or its state have changed
  std::optional<status::Handover> handover_ GUARDED_BY(m_);
  std::atomic<std::uint64_t> handovers_{0};
  std::optional<bool> handover_result_;  // drive: how the change of roles went that ends when the pair is replicating
  std::unique_ptr<verify::Verifier> verifier_ GUARDED_BY(m_);  // from the first time on that it is replicating
  std::unique_ptr<copy::UserCopy> users_;
  Signal users_signal_;
  std::unique_ptr<Worker> users_worker_;  // drive makes and ends it
  RateMeter applied_{std::chrono::seconds(5)}, documents_copied_{std::chrono::seconds(10)}, bytes_copied_{std::chrono::seconds(10)};  // run() only
};

template <class F>
void Replicator::retrying(std::stop_token stop, F&& f) {
  Backoff backoff;
  while (!stop.stop_requested()) {
    try {
      f();
      waits_.report("control", {});
      return;
    } catch (const Error& e) {
      if (e.remedy() != Remedy::retry) throw;
      waits_.report("control", e.what());
      if (!sleep_for(stop, backoff.next())) return;
    }
  }
}

}  // namespace mongotwin::control
