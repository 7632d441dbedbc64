// SPDX-License-Identifier: Apache-2.0
// How the Replicator shows itself: the status snapshot.
#include "control/replicator.h"

namespace mongotwin::control {

using status::State;

namespace {

status::ClusterInfo info_of(const mongo::Cluster& cluster) {
  return {cluster.redacted_uri(), cluster.sharded() ? "sharded" : "replica set", cluster.version(), cluster.shard_names()};
}

oplog::Timestamp at(const std::vector<oplog::Timestamp>& list, std::size_t n) { return n < list.size() ? list[n] : oplog::Timestamp(); }

std::optional<status::Failure> failure_of(std::exception_ptr error) {
  if (!error) return {};
  try {
    std::rethrow_exception(error);
  } catch (const Error& e) {
    return status::Failure{redact(e.what()), redact(e.hint()), to_string(e.remedy())};
  } catch (const std::exception& e) {
    return status::Failure{redact(e.what()), "start mongotwin again: it goes on from the checkpoint", to_string(Remedy::pause)};
  }
}

}  // namespace

// Before its ranges are known a copy that goes on has nothing, and then all that an earlier run did: that is no speed.
void Replicator::fill_copy(status::Status& status) {
  if (!copy_) return;
  auto& copy = status.copy = copy_->progress();
  if (copy.bytes_done >= copy.bytes_total) copy.eta_s.reset();
  if (status.state != State::copying || copy.ranges_total == 0) return;
  copy.documents_per_second = documents_copied_.update(copy.documents_done, clock_.now());
  copy.bytes_per_second = bytes_copied_.update(copy.bytes_done, clock_.now());
}

// The age of the oldest entry that is not applied yet; when all that was read is applied, the lag is only as old as the
// last word from the source.
std::int64_t Replicator::lag_ms(const Pipeline::Observed& observed) const {
  auto lag = observed.since_contact.count();
  if (!observed.oldest_unapplied_ms) return lag;
  auto now_ms = std::chrono::duration_cast<std::chrono::milliseconds>(clock_.wall().time_since_epoch()).count();
  return std::max<std::int64_t>(lag, now_ms - *observed.oldest_unapplied_ms);
}

void Replicator::fill_positions(status::Status& status) {
  auto observed = pipeline_ ? std::optional(pipeline_->observe()) : last_observed_;
  if (!observed || !pair_) return;
  auto names = pair_->source->shard_names();
  for (std::size_t s = 0; s < names.size(); ++s) {
    status::ShardPositions p{at(observed->read, s), at(observed->planned, s), at(observed->applied, s), at(observed->checkpointed, s)};
    status.positions[names[s]] = p;
  }
  status.journal = {observed->journal.bytes, observed->journal.bytes_max, {}, observed->journal.full};
  if (auto t = observed->journal.oldest_t) status.journal.age_s = std::max<std::int64_t>(0, std::chrono::duration_cast<std::chrono::seconds>(clock_.wall().time_since_epoch()).count() - t);
  status.ops.read = before_.entries_read + observed->entries_read;
  status.ops.applied = before_.ops_applied + observed->ops_applied;
  status.ops.by_kind = before_.by_kind;
  for (const auto& [kind, n] : observed->by_kind) status.ops.by_kind[kind] += n;
  bool applying = status.state == State::catching_up || status.state == State::replicating || status.state == State::paused || status.state == State::finishing;
  if (!applying || observed->applied.empty()) return;
  status.ops.per_second = applied_.update(status.ops.applied, clock_.now());
  status.lag_ms = lag_ms(*observed);
}

void Replicator::publish() {
  status::Status status;
  status.link = configured_.link;
  status.throttle = throttles();
  std::vector<std::string> balancers_held;
  {
    Lock lock(m_);
    status.state = state_;
    status.detail = detail_;
    if (paused_ && (state_ == State::replicating || state_ == State::catching_up)) {
      if (pipeline_ && pipeline_->drained()) status.state = State::paused;
      else status.detail = "pausing: what is under way is brought to its end";
    }
    if (pair_) {
      status.source = info_of(*pair_->source);
      status.target = info_of(*pair_->target);
      status.warnings = pair_->warnings;
    }
    fill_copy(status);
    if (balancers_) balancers_held = balancers_->held();
    fill_positions(status);
    status.roles_swapped = options_.reversed;
    status.handover = handover_;
    if (verifier_) status.verification = verifier_->newest();
    status.error = failure_of(error_);
  }
  for (auto& build : index_builds_.now()) status.index_builds.push_back({std::move(build.ns), std::move(build.indexes), std::move(build.phase), build.done, build.total});
  if (status.verification) {
    status.verification->listed.clear();
    status.verification->notes.clear();
  }
  for (const auto& label : balancers_held) status.warnings.push_back("held until the copy is done: the balancer of the " + label);
  for (const auto& held : holds_.ttls()) status.warnings.push_back("held back until finish: expiry of index " + held.name + " on " + held.ns);
  for (const auto& held : holds_.collection_ttls()) status.warnings.push_back("held back until finish: expiry of collection " + held.ns);
  for (const auto& held : holds_.hidden()) status.warnings.push_back("held back until finish: that index " + held.name + " on " + held.ns + " is hidden");
  for (const auto& held : holds_.uniques()) status.warnings.push_back("held back until the target is consistent: unique index " + held.name + " on " + held.ns);
  if (status.throttle.copy_bytes == 0u && status.state == State::copying) status.warnings.emplace_back("nothing is copied: the throttle is at 0 (mongotwin throttle --copy off lifts it)");
  if (status.throttle.operations == 0u && status.state != State::copying) status.warnings.emplace_back("nothing is applied: the throttle is at 0 (mongotwin throttle --operations off lifts it)");
  if (status.throttle.copiers == 0 && status.state == State::copying) status.warnings.emplace_back("nothing is copied: there are 0 copiers (mongotwin throttle --copiers 4 lets four of them go on)");
  if (status.throttle.lanes == 0 && status.state != State::copying) status.warnings.emplace_back("nothing is applied: there are 0 lanes (mongotwin throttle --lanes 8 lets eight of them go on)");
  for (auto& reason : waits_.reasons()) status.warnings.push_back(std::move(reason));
  board_.set(std::move(status));
}

}  // namespace mongotwin::control
