// SPDX-License-Identifier: Apache-2.0
// How the Replicator serves a verification: commands, and cuts at which nothing is applied.
#include <fmt/format.h>

#include <thread>

#include "control/replicator.h"

namespace mongotwin::control {

using status::State;

namespace {
constexpr std::chrono::milliseconds kLookForCut{5}, kMomentApart{50};
constexpr int kBeyondBudget = 4;  // definitions and counts are compared whatever the budget
}

void Replicator::make_verifier() {
  std::optional<std::vector<std::string>> users;
  if (options_.copy_users) users = options_.copy_users->exclude;
  verify::Pairing pairing{*pair_->source, *pair_->target, pair_->filter, holds_, pair_->sharding, *layout_, saved_.emptied, std::move(users)};
  verify::VerifierOptions options{options_.verify.bytes, {}};
  if (options_.verify.continuous_pause_s) options.continuously = std::chrono::seconds(*options_.verify.continuous_pause_s);
  verifier_ = std::make_unique<verify::Verifier>(std::move(pairing), static_cast<verify::Replication&>(*this), verify_throttle_, options_.link, options);
}

status::Verification Replicator::look_quickly(std::chrono::milliseconds budget, std::stop_token stop) {
  class Drained final : public verify::Replication {
   public:
    explicit Drained(oplog::Timestamp at) : at_(at) {}
    bool at_cut(const std::function<void(const verify::Cut&)>& work, std::stop_token) override {
      work({at_, true});
      return true;
    }
    [[nodiscard]] bool is_running() const override { return true; }

   private:
    oplog::Timestamp at_;
  };
  oplog::Timestamp at;
  {
    Lock lock(m_);
    for (auto ts : pipeline_->observe().applied) at = std::max(at, ts);
    at = pipeline_->moment().value_or(at);
  }
  Drained drained(at);
  verify::Pairing pairing{*pair_->source, *pair_->target, pair_->filter, holds_, pair_->sharding, *layout_, saved_.emptied, {}};
  // Trouble that passes is waited for, but not while nobody may write.
  std::stop_source limited;
  std::stop_callback forward(stop, [&] { limited.request_stop(); });
  std::jthread limit([&](std::stop_token over) {
    if (sleep_for(over, kBeyondBudget * budget)) limited.request_stop();
  });
  status::Verification found;
  try {
    found = verify::verify_quickly(pairing, drained, budget, limited.get_token());
  } catch (const Error& e) {
    found.verdict = status::Verdict::failed;
    found.failure = e.what();
  }
  if (found.verdict == status::Verdict::cancelled) found.failure = fmt::format("it was not done after {} ms", (kBeyondBudget * budget).count());
  if (found.differences > 0) found.verdict = status::Verdict::different;
  return found;
}

// Not under the lock: what is under way may be asking for a cut.
void Replicator::end_verifier() {
  auto* verifier = [&] {
    Lock lock(m_);
    return verifier_.get();
  }();
  if (verifier != nullptr) verifier->end();
}

void Replicator::verify(const status::VerifyRequest& request) {
  Lock lock(m_);
  if (state_ != State::replicating || !verifier_)
    throw Error(Remedy::pause, fmt::format("can't verify while {}: the target is compared as a state that the source has had", status::to_string(state_)), "wait until it is replicating");
  verifier_->start(request);
}

void Replicator::cancel_verification() {
  Lock lock(m_);
  if (verifier_) verifier_->cancel();
}

std::optional<status::Verification> Replicator::verification() const {
  Lock lock(m_);
  return verifier_ ? verifier_->newest() : std::nullopt;
}

Pipeline* Replicator::take_cut(std::stop_token stop) {
  while (!stop.stop_requested()) {
    {
      Lock lock(m_);
      if (error_) throw Error(Remedy::pause, "the replication has failed meanwhile", "see its error; then start it again and verify again");
      if (state_ != State::replicating) throw Error(Remedy::pause, fmt::format("it is {} meanwhile", status::to_string(state_)), "verify again when it is replicating");
      // One that is to be made again, with other shards, is not kept from that.
      if (pipeline_ && pipeline_->exact() && !pipeline_->shard_change()) {
        cut_taken_ = true;
        pipeline_->hold(true);
        return pipeline_.get();
      }
    }
    if (!sleep_for(stop, kLookForCut)) break;
  }
  return nullptr;
}

bool Replicator::at_cut(const std::function<void(const verify::Cut&)>& work, std::stop_token stop) {
  struct Release {
    Replicator& r;
    ~Release() {
      Lock lock(r.m_);
      r.cut_taken_ = false;
      if (r.pipeline_) r.pipeline_->hold(r.paused_ || r.error_);
    }
  };
  while (auto* pipeline = take_cut(stop)) {
    {
      Release release{*this};
      while (!pipeline->drained()) {
        if (!sleep_for(stop, kLookForCut)) return false;
        Lock lock(m_);
        if (error_) throw Error(Remedy::pause, "the replication has failed meanwhile", "see its error; then start it again and verify again");
      }
      if (auto moment = pipeline->moment()) {
        work({*moment, !pair_->source->sharded() || pipeline->nothing_open()});
        return true;
      }
    }
    // Just started: what stands before the first moment is to be planned, which a hold would keep it from.
    if (!sleep_for(stop, kMomentApart)) break;
  }
  return false;
}

}  // namespace mongotwin::control
