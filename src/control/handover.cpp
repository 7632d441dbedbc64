// SPDX-License-Identifier: Apache-2.0
// How the Replicator changes the roles of its pair.
#include <fmt/format.h>

#include <algorithm>
#include <thread>
#include <utility>

#include "control/replicator.h"
#include "control/roles.h"

namespace mongotwin::control {

namespace {
constexpr std::chrono::milliseconds kLookEvery{100}, kPublishedLook{10};
constexpr std::chrono::milliseconds kLookAtMost{500};  // of closed writes
constexpr int kPublishedMost = 500;
constexpr const char* kFollowing = "following";
}

using checkpoint::Phase;
using status::Condition;
using status::State;

namespace {

Condition of_last_verification(const std::optional<status::Verification>& last) {
  using Kind = Condition::Kind;
  constexpr auto kHint = "mongotwin verify, while writes go on, says whether all is the same";
  if (!last || last->verdict == status::Verdict::running) return {Kind::warning, "the pair has not been verified", kHint};
  auto text = "last verification: " + status::verdict_text(*last);
  if (last->verdict == status::Verdict::different && last->repaired < last->differences) return {Kind::refused, text, "mongotwin verify --repair, then verify again"};
  bool known = last->verdict == status::Verdict::identical || last->verdict == status::Verdict::different;
  return {known ? Kind::fine : Kind::warning, text, known ? "" : kHint};
}

std::string text_of(const Error& e) { return e.hint().empty() ? std::string(e.what()) : fmt::format("{}; {}", e.what(), e.hint()); }

}  // namespace

void Replicator::set_handover(const std::function<void(status::Handover&)>& change) {
  Lock lock(m_);
  if (!handover_) handover_.emplace();
  change(*handover_);
}

void Replicator::begin_handover(const char* kind, std::atomic<bool>& request) {
  status::Handover next;
  next.kind = kind;
  next.step = "asked for";
  next.number = ++handovers_;
  handover_ = std::move(next);
  request = true;
  drive_signal_.notify();
}

// Who asked looks at the status next, and must not see the end of an earlier one.
void Replicator::wait_until_published() {
  auto number = handovers_.load();
  for (int n = 0; n < kPublishedMost; ++n) {
    auto status = board_.get();
    if (status->handover && status->handover->number >= number) return;
    std::this_thread::sleep_for(kPublishedLook);
  }
}

Switchover Replicator::make_switchover() {
  return Switchover({*pair_, options_, *store_, holds_, *ddl_, [this](const std::string& step) { set_handover([&](auto& h) { h.step = step; }); }});
}

void Replicator::demand_no_handover() const {
  if (handover_ && !handover_->succeeded) throw Error(Remedy::pause, fmt::format("a {} is under way{}{}", handover_->kind, handover_->step.empty() ? "" : ": ", handover_->step), "wait for its end; if the source is gone for good, stop mongotwin and run: mongotwin failover --config …");
}

void Replicator::demand_replicating() const {
  demand_no_handover();
  if (state_ != State::replicating || paused_ || finish_requested_)
    throw Error(Remedy::pause, fmt::format("can't switch over while {}", paused_ ? "paused" : status::to_string(state_)), "wait until it is replicating (mongotwin resume, if it is paused)");
  if (lanes_ == 0 || apply_throttle_.rate() == 0u) throw Error(Remedy::pause, "can't switch over while nothing is applied: the throttle is at 0", "lift it: mongotwin throttle --operations off --lanes 8");
}

std::vector<Condition> Replicator::switch_over(bool dry_run) {
  std::shared_ptr<Pair> pair;
  options::Options options;
  std::chrono::milliseconds behind{};
  {
    Lock lock(m_);
    demand_replicating();
    pair = pair_;
    options = options_;
    auto observed = pipeline_ ? pipeline_->observe() : Pipeline::Observed();
    if (observed.applied.empty()) throw Error(Remedy::pause, "it is just connecting anew, since the source has other shards now", "ask again");
    behind = std::chrono::milliseconds(lag_ms(observed));
  }
  std::vector<Condition> conditions;
  {
    Lock shape(shape_m_);
    conditions = Switchover::conditions(*pair, options, behind);
    conditions.push_back(of_last_verification(board_.get()->verification));
  }
  bool refused = std::any_of(conditions.begin(), conditions.end(), [](const auto& c) { return c.kind == Condition::Kind::refused; });
  if (dry_run || refused) return conditions;
  {
    Lock lock(m_);
    demand_replicating();
    log::info("control", "switching over by request");
    begin_handover("switchover", switch_requested_);
  }
  wait_until_published();
  return conditions;
}

// Whatever comes of it, the pair is connected to anew: as the checkpoints say then.
void Replicator::change_roles(std::stop_token stop) {
  Pipeline* pipeline = nullptr;
  {
    Lock lock(m_);
    pipeline = pipeline_.get();
  }
  users_worker_.reset();
  auto last_call = [&] {
    if (users_) users_->sync(copy::UserCopy::Upto::now);
  };
  auto compare = [&] {
    auto found = look_quickly(kLookAtMost, stop);
    if (found.verdict == status::Verdict::failed || found.verdict == status::Verdict::cancelled) {
      log::warn("control", "switch-over: not everything could be compared: {}", found.failure);
      set_handover([&](auto& h) { h.notes.push_back("before the decision not everything could be compared: " + found.failure); });
    }
    if (found.verdict != status::Verdict::different) return;
    auto first = found.listed.empty() ? std::string() : fmt::format(", such as {}{}{}: {}", found.listed.front().ns, found.listed.front().id.empty() ? "" : " ", found.listed.front().id, found.listed.front().what);
    throw Error(Remedy::pause, fmt::format("the target is not what the source is: {} difference{}{}", found.differences, found.differences == 1 ? "" : "s", first), "mongotwin verify names them all, --repair mends documents");
  };
  again_ = true;
  try {
    look_for_shards(*pair_->target);
    auto outcome = make_switchover().run(*pipeline, saved_, last_call, compare, stop);
    set_handover([&](auto& h) {
      h.step = kFollowing;
      h.closed_ms = outcome.closed.count();
      h.notes.insert(h.notes.end(), outcome.notes.begin(), outcome.notes.end());
    });
    handover_result_ = true;
  } catch (const Error& e) {
    set_handover([&](auto& h) {
      h.step = kFollowing;
      h.error = text_of(e);
    });
    handover_result_ = false;
  }
}

// A change of roles is over when the pair is replicating again, whichever way it goes then.
void Replicator::note_replicating() {
  auto result = std::exchange(handover_result_, {});
  if (!result || !handover_) return;
  handover_->step.clear();
  handover_->succeeded = result;
}

// ---- the source is gone

void Replicator::demand_can_fail_over() const {
  demand_no_handover();
  constexpr auto kAlone = "stop mongotwin, and what starts it again, then run: mongotwin failover --config …, which does it by itself";
  if (state_ == State::failed_over) throw Error(Remedy::pause, "it has failed over already", "when the old source is back: mongotwin rejoin");
  if (state_ == State::copying || state_ == State::finished || (pipeline_ && !pipeline_->consistent()))
    throw Error(Remedy::pause, fmt::format("can't fail over while {}: the target is no state that the source has had", status::to_string(state_)), "a failover needs a pair that was replicating");
  bool follows = state_ == State::replicating || state_ == State::catching_up;
  if (!follows || !pipeline_ || finish_requested_) throw Error(Remedy::pause, fmt::format("can't fail over in here while {}", finish_requested_ ? "finishing" : status::to_string(state_)), kAlone);
}

void Replicator::fail_over(bool force) {
  std::shared_ptr<Pair> pair;
  std::string source_uri;
  {
    Lock lock(m_);
    demand_can_fail_over();
    pair = pair_;
    source_uri = options_.source_uri;
  }
  bool alive = answers(source_uri);
  if (alive && !force) throw Error(Remedy::pause, "the source answers: nothing need be given up", "mongotwin switchover loses nothing; or mongotwin failover --force");
  {
    Lock lock(m_);
    demand_can_fail_over();  // another one may have been asked for meanwhile
    Failover::demand_even(*pair->source, pipeline_->read(), force);
    Failover::demand_complete(pipeline_->read(), pipeline_->complete_up_to(), force);
    log::warn("control", "failing over by request{}", force ? " (forced)" : "");
    begin_handover("failover", failover_requested_);
    if (alive) handover_->notes.emplace_back("the source answered when the failover was forced: what it takes from now on is only there");
  }
  wait_until_published();
}

void Replicator::take_over(std::stop_token stop) {
  Pipeline* pipeline = nullptr;
  {
    Lock lock(m_);
    paused_ = false;
    pipeline = pipeline_.get();
  }
  // What the throttle holds back would be lost with it.
  apply_throttle_.set({});
  pipeline->set_lanes(std::max(1, lanes_.load()));
  pipeline->hold(false);
  auto check = [this] {
    Lock lock(m_);
    if (error_) std::rethrow_exception(error_);
  };
  Failover failover({*pair_, options_, *store_, holds_, *ddl_, [this](const std::string& step) { set_handover([&](auto& h) { h.step = step; }); }, check});
  try {
    retrying(stop, [&] { look_for_shards(*pair_->target); });
    auto report = failover.run(*pipeline, saved_.handover, stop);
    set_handover([&](auto& h) {
      h.step.clear();
      h.succeeded = true;
      h.up_to = report.up_to;
      h.notes.insert(h.notes.end(), report.lines.begin(), report.lines.end());
    });
  } catch (const Error& e) {
    set_handover([&](auto& h) {
      h.step.clear();
      h.succeeded = false;
      h.error = text_of(e);
    });
    throw;
  }
  set_state(State::failed_over, "the target stands alone; when the old source is back: mongotwin rejoin");
  {
    Lock lock(m_);
    last_observed_ = pipeline_->observe();
  }
  // The threads that wait for the lost source may take their time.
  std::unique_ptr<Pipeline> done;
  {
    Lock lock(m_);
    done = std::move(pipeline_);
  }
  users_worker_.reset();
  done.reset();
  std::optional<bson::Document> document;
  retrying(stop, [&] { document = store_->load(); });
  if (document) saved_ = checkpoint::Checkpoint::parse(*document);
  if (!stop.stop_requested()) stand_alone(stop);
}

void Replicator::stand_alone(std::stop_token stop) {
  set_state(State::failed_over, "the target stands alone; when the old source is back: mongotwin rejoin");
  {
    Lock lock(m_);
    if (!handover_) {
      handover_ = status::Handover{"failover", {}, true, {}, saved_.handover["up_to"].timestamp(), {}, {}, 0};
      for (const auto& line : saved_.handover.view().fields("lines")) handover_->notes.emplace_back(line.string().value_or(""));
    }
  }
  while (!stop.stop_requested() && !again_) {
    if (rejoin_requested_.exchange(false)) take_in_again(stop);
    else drive_signal_.wait(stop, kLookEvery);
  }
}

void Replicator::rejoin(bool may_copy) {
  {
    Lock lock(m_);
    if (state_ != State::failed_over) throw Error(Remedy::pause, fmt::format("there is nothing to rejoin while {}", status::to_string(state_)), "it is for the old source after a failover");
    demand_no_handover();
    rejoin_may_copy_ = may_copy;
    begin_handover("rejoin", rejoin_requested_);
  }
  wait_until_published();
}

void Replicator::take_in_again(std::stop_token stop) {
  retrying(stop, [&] {
    look_for_shards(*pair_->target);
    look_for_shards(*pair_->source);
  });
  Rejoin rejoin({*pair_, options_, saved_, *store_, [this](const std::string& step) { set_handover([&](auto& h) { h.step = step; }); }});
  try {
    auto report = rejoin.run(rejoin_may_copy_, stop);
    again_ = true;
    handover_result_ = true;
    set_handover([&](auto& h) {
      h.step = kFollowing;
      h.notes.insert(h.notes.end(), report.lines.begin(), report.lines.end());
    });
  } catch (const Error& e) {
    log::error("control", "rejoin: {}", text_of(e));
    set_handover([&](auto& h) {
      h.step.clear();
      h.succeeded = false;
      h.error = text_of(e);
    });
  }
}

}  // namespace mongotwin::control
