// SPDX-License-Identifier: Apache-2.0
#include "control/switchover.h"

#include <fmt/format.h>

#include <algorithm>
#include <set>

#include "control/other_way.h"
#include "control/rights.h"
#include "source/mongo_oplog.h"

namespace mongotwin::control {

using checkpoint::Checkpoint;
using checkpoint::Phase;
using oplog::Timestamp;

namespace {

constexpr std::chrono::milliseconds kLook{2}, kTryAgain{50}, kPutBackPatience{10'000};
constexpr int kLateRoundsMax = 10;
constexpr std::size_t kNamedMax = 20;
constexpr std::int64_t kShortOplogSeconds = 3600;

using Condition = Switchover::Condition;
using Kind = Condition::Kind;

template <class F>
void add(std::vector<Condition>& out, F&& look) {
  try {
    out.push_back(look());
  } catch (const Error& e) {
    out.push_back({Kind::refused, e.what(), e.hint()});
  }
}

Condition of_block(mongo::Cluster& cluster, const options::Hooks& hooks, const std::string& link) {
  WriteBlock block(cluster, hooks, link);
  if (auto o = block.obstacle()) return {Kind::refused, o->what, o->hint};
  return {Kind::fine, fmt::format("{}: can be closed for writes and opened{}", cluster.label(), hooks.close.empty() ? "" : " (by hooks)"), {}};
}

Condition of_health(mongo::Cluster& cluster) {
  for (auto& shard : cluster.shards()) {
    auto client = shard.pool->acquire();
    auto hello = client.run("admin", bson::Builder().int32("hello", 1).finish());
    if (!hello["isWritablePrimary"].truthy()) return {Kind::refused, fmt::format("{}: no primary answers", client.label()), "wait for an election"};
  }
  cluster.router().acquire().run("admin", bson::Builder().int32("ping", 1).finish());
  return {Kind::fine, fmt::format("{}: every shard has a primary", cluster.label()), {}};
}

Condition of_versions(Pair& pair) {
  auto text = fmt::format("versions: source {}, target {}", pair.source->version(), pair.target->version());
  if (pair.source->major() < pair.target->major())
    return {Kind::warning, text + ": afterwards an older cluster follows a newer one", "what it does not know yet will stop the replication in that direction"};
  return {Kind::fine, text, {}};
}

Condition of_oplogs(mongo::Cluster& target) {
  std::int64_t least = INT64_MAX;
  for (auto& shard : target.shards()) {
    auto client = shard.pool->acquire();
    least = std::min(least, source::oplog_window(client).seconds());
  }
  auto text = fmt::format("target: its oplog holds {} min of what is written now", least / 60);
  if (least < kShortOplogSeconds) return {Kind::warning, text, "it is what the old source can follow from after an interruption; a larger oplog gives more time"};
  return {Kind::fine, text, {}};
}

Condition of_rights(Pair& pair) {
  std::set<std::string> here, there;
  for (const auto& ns : namespaces_of(*pair.source, [&](const auto& n) { return pair.filter.includes(n); })) {
    here.insert(ns.substr(0, ns.find('.')));
    auto name = pair.filter.target(ns);
    there.insert(name.substr(0, name.find('.')));
  }
  check_rights(*pair.target, *pair.source);
  check_rights_on(*pair.target, *pair.source, there, here, pair.source->sharded() && pair.target->sharded());
  return {Kind::fine, "rights: each user may do what the other direction needs", {}};
}

Condition of_selection(Pair& pair) {
  if (pair.namespaces == "databases [] include [] exclude []") return {Kind::fine, "everything is replicated", {}};
  return {Kind::warning, fmt::format("only a part is replicated ({}), and a cluster is closed as a whole", pair.namespaces), "the rest of the source is closed for writes too, and stays so"};
}

Condition of_place(Pair& pair, const std::string& link) {
  demand_own_place(pair, link);
  return {Kind::fine, "the source can keep the link's state", {}};
}

Condition of_lag(const options::Options& options, std::chrono::milliseconds behind) {
  auto text = fmt::format("lag: {:.1f} s", static_cast<double>(behind.count()) / 1000);
  if (behind > std::chrono::seconds(options.switchover.lag_max_s)) return {Kind::refused, text, fmt::format("wait until it is below {} s (switchover.lag_max)", options.switchover.lag_max_s)};
  return {Kind::fine, text, {}};
}

}  // namespace

Switchover::Switchover(Parts parts)
    : p_(std::move(parts)), source_block_(*p_.pair.source, p_.options.source_hooks, p_.options.link), target_block_(*p_.pair.target, p_.options.target_hooks, p_.options.link),
      other_store_(p_.pair.source->router(), p_.options.link) {}

std::vector<Condition> Switchover::conditions(Pair& pair, const options::Options& options, std::chrono::milliseconds behind) {
  std::vector<Condition> out;
  add(out, [&] { return of_lag(options, behind); });
  for (auto* cluster : {pair.source.get(), pair.target.get()}) add(out, [&] { return of_health(*cluster); });
  add(out, [&] { return of_block(*pair.source, options.source_hooks, options.link); });
  add(out, [&] { return of_block(*pair.target, options.target_hooks, options.link); });
  add(out, [&] { return of_rights(pair); });
  add(out, [&] { return of_place(pair, options.link); });
  add(out, [&] { return of_versions(pair); });
  add(out, [&] { return of_oplogs(*pair.target); });
  add(out, [&] { return of_selection(pair); });
  return out;
}

void Switchover::step(const char* name) {
  log::info("control", "switch-over: {}", name);
  p_.on_step(name);
}

void Switchover::check_time() const {
  if (deadline_ && Clock::now() > *deadline_)
    throw Error(Remedy::pause, fmt::format("it was not done after {} s", p_.options.switchover.closed_max_s), "see the lag and the log; switchover.closed_max is the limit");
}

// None is no limit to the servers, so the last moment is one.
std::chrono::milliseconds Switchover::time_left() const {
  if (!deadline_) return apply::DdlApplier::kNoLimit;
  return std::max(std::chrono::milliseconds(1), std::chrono::duration_cast<std::chrono::milliseconds>(*deadline_ - Clock::now()));
}

template <class F>
void Switchover::insisting(std::stop_token stop, F&& f) {
  for (;;) {
    try {
      return f();
    } catch (const Error& e) {
      if (e.remedy() != Remedy::retry || (deadline_ && Clock::now() > *deadline_)) throw;
      log::warn("control", "switch-over: trying again: {}", e.what());
    }
    if (sleep_for(stop, kTryAgain)) continue;
    if (!stopping_since_) stopping_since_ = Clock::now();
    if (!puts_back_ || Clock::now() - *stopping_since_ > kPutBackPatience) throw Error(Remedy::pause, "mongotwin was stopped in the middle of it", "start it again: it puts everything back, or ends what is decided");
    (void)sleep_for({}, kTryAgain);
  }
}

Switchover::Outcome Switchover::run(Pipeline& pipeline, const Checkpoint& saved, const std::function<void()>& last_call, const std::function<void()>& compare, std::stop_token stop) {
  deadline_ = Clock::now() + std::chrono::seconds(p_.options.switchover.closed_max_s);
  auto found = [&](WriteBlock& block, std::optional<bool> known) {
    if (known) return *known;
    if (block.by_hooks()) return false;
    auto closed = block.is_closed();
    if (!closed) throw Error(Remedy::retry, "whether it is open for writes is not known");
    return *closed;
  };
  // A follower has been closed by the switch-over that made it one; hooks could not tell.
  auto follower = saved.handover["target_closed"] && !saved.handover["source_closed"] ? saved.handover["target_closed"].boolean() : std::nullopt;
  bson::Document handover;
  insisting(stop, [&] {
    demand_own_place(p_.pair, p_.options.link);
    bson::Builder b;
    b.string("kind", "switchover").boolean("source_closed", found(source_block_, {})).boolean("target_closed", found(target_block_, follower)).document("before", saved.handover);
    handover = b.finish();
    intent_ = fmt::format("{}.{}", saved.generation + 1, std::chrono::system_clock::now().time_since_epoch().count());
    other_store_.save(bson::Builder().string("phase", to_string(Phase::switched)).string("source_id", p_.pair.target->id()).string("intent", intent_).finish());
    p_.store.save(bson::Builder().document("handover", handover).finish());
  });
  try {
    close(stop);
    drain(pipeline, stop);
    last_call();
    // Before anything held is given back: what is held is expected to differ, and nothing else is.
    step("verifying");
    compare();
    check_time();
    give_back(handover, stop);
    decide(saved.generation, stop);
  } catch (const Error& e) {
    log::error("control", "switch-over: given up: {}", e.what());
    step("putting back");
    std::string besides;
    try {
      deadline_.reset();
      if (!held_.empty()) handover = bson::Builder().fields_of(handover).document("held", held_).finish();
      besides = put_back(handover, stop);
    } catch (const Error& again) {
      throw Error(Remedy::pause, fmt::format("the switch-over failed ({}), and not everything could be put back: {}", e.what(), again.what()),
                  "start mongotwin again: it puts back the rest; or open the source by setUserWriteBlockMode {global: false}");
    }
    throw Error(Remedy::pause, fmt::format("the switch-over was given up, everything was put back{}: {}", besides, e.what()), e.hint());
  }
  deadline_.reset();
  open(stop);
  look_once_more();
  return outcome_;
}

// Between the last look and now somebody may have passed the block; the old source follows from here on, and only an
// operator can say which of the two is right.
void Switchover::look_once_more() {
  try {
    auto late = late_writes(*p_.pair.source, p_.pair.filter, last_, kNamedMax);
    if (late.empty()) return;
    auto fields = bson::Builder();
    fields.open_array("notes");
    for (std::size_t n = 0; n < late.size(); ++n) {
      outcome_.notes.push_back("written on the old source past its block after the switch-over, and not on the new one: " + to_string(late[n]));
      log::warn("control", "switch-over: {}", outcome_.notes.back());
      fields.string(std::to_string(n), outcome_.notes.back());
    }
    fields.close();
    other_store_.save(fields.finish());
  } catch (const Error& e) {
    outcome_.notes.push_back(fmt::format("whether somebody wrote past the block of the old source at the last moment is not known: {}", e.what()));
  }
}

// The target first: between the two nobody may write to either.
void Switchover::close(std::stop_token stop) {
  step("closing");
  insisting(stop, [&] { target_block_.close(stop, time_left()); });
  begun_ = Clock::now();
  insisting(stop, [&] { source_block_.close(stop, time_left()); });
}

void Switchover::wait_for(Pipeline& pipeline, const std::vector<Timestamp>& last, std::stop_token stop) {
  pipeline.stop_after(last);
  while (!pipeline.stopped()) {
    check_time();
    if (pipeline.shard_change()) throw Error(Remedy::pause, "the source got or lost a shard just now", "try again when mongotwin follows it");
    if (!sleep_for(stop, kLook)) throw Error(Remedy::pause, "mongotwin was stopped in the middle of it");
  }
}

// Who passes the block may still have written: that is applied too, and named. Nothing comes any more when a look at the
// oplogs finds nothing.
void Switchover::drain(Pipeline& pipeline, std::stop_token stop) {
  step("draining");
  insisting(stop, [&] { last_ = committed_ends(*p_.pair.source, time_left()); });
  for (int round = 0;; ++round) {
    wait_for(pipeline, last_, stop);
    std::vector<LateWrite> late;
    insisting(stop, [&] { late = late_writes(*p_.pair.source, p_.pair.filter, last_); });
    if (late.empty()) break;
    for (const auto& write : late) {
      if (outcome_.notes.size() >= kNamedMax) break;
      outcome_.notes.push_back("written on the source past its block, and applied: " + to_string(write));
      log::warn("control", "switch-over: {}", outcome_.notes.back());
    }
    if (round == kLateRoundsMax) throw Error(Remedy::pause, fmt::format("writes keep coming in past the block of the source, the last one is the {}", to_string(late.back())), "stop the client whose user has the role root or restore");
    insisting(stop, [&] { last_ = committed_ends(*p_.pair.source, time_left()); });
  }
  insisting(stop, [&] { pipeline.save_checkpoint(); });
}

// The old source must not expire documents by itself from here on, and the new one must. The positions come first: what
// expires on the new one from now on is to be followed.
void Switchover::give_back(bson::View handover, std::stop_token stop) {
  step("restoring");
  insisting(stop, [&] { ends_ = committed_ends(*p_.pair.target, time_left()); });
  auto held = p_.holds.to_document();
  insisting(stop, [&] { p_.store.save(bson::Builder().document("handover", bson::Builder().fields_of(handover).document("held", held).finish()).finish()); });
  held_ = held;
  insisting(stop, [&] { hold_on_source(p_.pair, held_, Held::by_target_names, time_left()); });
  insisting(stop, [&] { p_.ddl.restore_held(time_left()); });
}

// The checkpoint of the other direction: nobody writes anywhere, so its positions are those of now.
void Switchover::decide(std::int64_t generation, std::stop_token stop) {
  step("deciding");
  Checkpoint next;
  insisting(stop, [&] { next = other_way(p_.pair, ends_, held_, stop); });
  next.phase = Phase::opening;
  next.generation = generation + 1;
  std::vector<LateWrite> late;
  insisting(stop, [&] { late = late_writes(*p_.pair.source, p_.pair.filter, last_); });
  if (!late.empty()) throw Error(Remedy::pause, fmt::format("somebody wrote past the block of the source at the last moment: {}", to_string(late.front())), "stop the client whose user has the role root or restore");
  auto users = bson::Document();
  insisting(stop, [&] {
    if (auto saved = p_.store.load()) users = bson::Document::copy_of(saved->view().fields("users"));
  });
  check_time();
  insisting(stop, [&] {
    auto fields = bson::Builder();
    fields.fields_of(next.to_fields()).open_document("handover").string("kind", "switchover").boolean("target_closed", true).close();
    fields.open_array("notes").close();
    if (!users.empty()) fields.array("users", users);
    if (!other_store_.save_if(intent_, fields.finish())) throw Error(Remedy::pause, "the source's document of this link was changed by somebody else", "only one mongotwin may work on a pair");
  });
}

void Switchover::open(std::stop_token stop) {
  step("opening");
  for (;;) {
    try {
      target_block_.open(stop);
      break;
    } catch (const Error& e) {
      // It may be open in spite of the error, and then there is no way back.
      log::error("control", "switch-over: the new source can't be opened for writes, trying again: {}", e.what());
      if (!sleep_for(stop, kTryAgain)) throw Error(Remedy::pause, "mongotwin was stopped in the middle of the switch-over, which is decided", "start it again: it opens the new source");
    }
  }
  outcome_.closed = std::chrono::duration_cast<std::chrono::milliseconds>(Clock::now() - begun_);
  log::info("control", "switch-over: done, writes were closed for {:.2f} s", static_cast<double>(outcome_.closed.count()) / 1000);
}

// Everything as `handover` says that it was found, but for one thing: a target that it has closed stays closed. Applications
// that were refused try both clusters, and would write to whichever opens. May be repeated.
std::string Switchover::put_back(bson::View handover, std::stop_token stop) {
  puts_back_ = true;
  insisting(stop, [&] {
    p_.store.demand_own();  // who has lost the pair meanwhile has nothing to put back
    demand_own_place(p_.pair, p_.options.link);
    auto saved = p_.store.load();
    bool changed_roles_before = saved && saved->view().integer("generation").value_or(0) > 0;
    // That it is the cluster which lives stays to be known there.
    if (changed_roles_before) other_store_.save(bson::Builder().string("phase", to_string(Phase::switched)).string("intent", "").finish());
    else other_store_.remove();
  });
  if (auto held = handover["held"]) {  // expiry was, or was about to be, exchanged
    insisting(stop, [&] { restore_on_source(p_.pair, held.fields()); });
    p_.holds.load(held.fields());
    insisting(stop, [&] { p_.ddl.hold_again(); });
    insisting(stop, [&] { p_.store.save(bson::Builder().document("held", p_.holds.to_document()).finish()); });
  }
  if (!handover["source_closed"].truthy()) insisting(stop, [&] { source_block_.open({}); });
  auto after = bson::Document::copy_of(handover.fields("before"));
  bool stays_closed = !handover["target_closed"].truthy();
  // On shards a command that was given up may still close it.
  if (stays_closed && !target_block_.by_hooks() && !p_.pair.target->sharded()) insisting(stop, [&] { stays_closed = target_block_.is_closed().value_or(true); });
  if (stays_closed) after = bson::Builder().string("kind", "switchover").boolean("target_closed", true).finish();
  insisting(stop, [&] { p_.store.save(bson::Builder().document("handover", after).finish()); });
  std::string besides = stays_closed ? ", but for the target, which stays closed for the writes of its users until a switch-over or finish opens it" : "";
  log::info("control", "switch-over: everything is put back{}", besides);
  return besides;
}

void Switchover::complete(std::stop_token stop) {
  insisting(stop, [&] { source_block_.open(stop); });
  insisting(stop, [&] {
    demand_own_place(p_.pair, p_.options.link);
    other_store_.save(bson::Builder().string("phase", to_string(Phase::switched)).document("handover", bson::View()).finish());
  });
  insisting(stop, [&] { p_.store.save(bson::Builder().string("phase", to_string(Phase::replicating)).string("intent", "").finish()); });
}

bool Switchover::settle(Pair& pair, const options::Options& options, std::stop_token stop) {
  if (!pair.checkpoint) return false;
  const auto& saved = *pair.checkpoint;
  bool decided = saved.phase == Phase::opening;
  if (!decided && !saved.handover["source_closed"]) return false;
  if (saved.source_id != pair.source->id()) return false;  // another pair's: the start is refused
  checkpoint::MongoCheckpointStore store(pair.target->router(), options.link);
  store.claim();
  apply::TargetLayout layout(pair.target->router(), pair.target->sharded());
  apply::Holds holds;
  apply::ShardingRules none;
  apply::IndexBuilds builds;
  apply::DdlApplier ddl(*pair.target, layout, holds, none, builds);
  Switchover switchover({pair, options, store, holds, ddl, [](const std::string&) {}});
  if (decided) {
    log::warn("control", "a switch-over is decided and not ended: opening the new source");
    switchover.complete(stop);
  } else {
    log::warn("control", "a switch-over was broken off before it was decided: putting everything back");
    (void)switchover.put_back(saved.handover, stop);
  }
  return true;
}

}  // namespace mongotwin::control
