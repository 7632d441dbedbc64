// SPDX-License-Identifier: Apache-2.0
#include "control/replicator.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cstdlib>
#include <thread>

#include "control/roles.h"
#include "source/mongo_oplog.h"

namespace mongotwin::control {

using checkpoint::Phase;
using status::State;

namespace {
constexpr std::chrono::milliseconds kPublishEvery{250}, kLookEvery{100}, kStopPatience{20'000}, kUsersEvery{2'000}, kOwnerEvery{1'000};
constexpr std::chrono::milliseconds kFinalLook{2'000};
constexpr int kReconnectMost = 30;

// options knows neither copy nor mongo.
copy::Reading reading_of(options::ReadingOrder order) {
  switch (order) {
    case options::ReadingOrder::natural: return copy::Reading::natural;
    case options::ReadingOrder::id: return copy::Reading::id;
    default: return copy::Reading::automatic;
  }
}

mongo::ReadPreference preference_of(options::ReadFrom from) {
  switch (from) {
    case options::ReadFrom::primary_preferred: return mongo::ReadPreference::primary_preferred;
    case options::ReadFrom::secondary: return mongo::ReadPreference::secondary;
    case options::ReadFrom::secondary_preferred: return mongo::ReadPreference::secondary_preferred;
    case options::ReadFrom::nearest: return mongo::ReadPreference::nearest;
    default: return mongo::ReadPreference::primary;
  }
}

// Between the preflight's look and the claim the one that had the pair may have changed its roles.
void demand_unchanged(const std::optional<checkpoint::Checkpoint>& seen, const std::optional<bson::Document>& document) {
  bool same = seen.has_value() == document.has_value();
  if (same && seen) {
    auto now = checkpoint::Checkpoint::parse(*document);
    same = now.phase == seen->phase && now.generation == seen->generation && now.handover == seen->handover;
  }
  if (!same) throw Error(Remedy::retry, "another mongotwin works on this pair, and has changed its state just now", "stop the other one, then start this one again");
}
}

std::unique_ptr<cli::Engine> make_engine(const options::Options& options, status::StatusBoard& board) { return std::make_unique<Replicator>(options, board); }

std::vector<std::string> check(const options::Options& options) {
  mongo::Driver driver;
  auto roles = find_roles(options);
  auto lines = preflight(roles).lines;
  if (roles.reversed) lines.insert(lines.begin(), "the roles are swapped since a switch-over: the configuration's target is the source");
  lines.emplace_back("ready to run");
  return lines;
}

Replicator::~Replicator() {
  end_verifier();
  Lock lock(m_);
  pipeline_.reset();
  copy_.reset();
}

void Replicator::run(std::stop_token stop) {
  publish();
  std::stop_source drive_stop;
  std::stop_callback forward(stop, [&] {
    drive_stop.request_stop();
    drive_signal_.notify();
  });
  std::jthread driver([this, token = drive_stop.get_token()] {
    name_this_thread("drive");
    try {
      drive(token);
    } catch (...) {
      fail(std::current_exception());
    }
    release_balancers();
  });
  Signal tick;
  for (;;) {
    publish();
    {
      Lock lock(m_);
      // What is wrong before anything was changed ends the program; later the state stays to be seen until the stop.
      if (error_ && !connected_) break;
      // A copy does not see what failed beside it; it must not go on, and hold balancers, for a pair that has failed.
      if (error_) drive_stop.request_stop();
    }
    if (stop.stop_requested()) break;
    tick.wait(stop, kPublishEvery);
  }
  drive_stop.request_stop();
  drive_signal_.notify();
  // An index build on the target can't be broken off from here and may take hours; the checkpoint before it stands.
  std::jthread patience([this](std::stop_token ended) {
    if (!sleep_for(ended, kStopPatience)) return;
    release_balancers();
    log::warn("control", "the target is still busy with a command; leaving it to that: the next start goes on from the checkpoint");
    std::_Exit(0);
  });
  driver.join();
  owner_watch_.reset();
  end_verifier();
  std::unique_ptr<Pipeline> pipeline;
  std::exception_ptr error;
  {
    Lock lock(m_);
    pipeline = std::move(pipeline_);
    error = error_;
  }
  if (pipeline && !error) {
    try {
      pipeline->save_checkpoint();
    } catch (const Error& e) {
      log::warn("control", "the last checkpoint could not be saved, the one before it stands: {}", e.what());
    }
  }
  pipeline.reset();
  publish();
  if (error) {
    remember_failure(error);
    std::rethrow_exception(error);
  }
}

// The next start replays tolerantly what may have been applied already, the operation that stopped this one among it:
// it must not go on as if nothing had been.
void Replicator::remember_failure(std::exception_ptr error) {
  if (!store_) return;
  try {
    std::rethrow_exception(error);
  } catch (const std::exception& e) {
    try {
      store_->save(bson::Builder().string("failure", redact(e.what())).finish());
    } catch (const Error& again) {
      log::warn("control", "why it stopped could not be saved: {}", again.what());
    }
  }
}

// Who does not copy holds nothing; a copy that goes on holds them again.
void Replicator::release_balancers() {
  if (!balancers_) return;
  try {
    balancers_->release();
  } catch (const Error& e) {
    log::warn("control", "the balancers could not be put back as they were found; the next start does it, or sh.startBalancer(): {}", e.what());
  }
}

// A start that is refused must not leave them off: it may be the last one.
void Replicator::release_balancers_of_a_dead_run(mongo::Cluster& source, mongo::Cluster& target) {
  try {
    checkpoint::MongoCheckpointStore store(target.router(), configured_.link);
    auto document = store.load();
    if (!document) return;
    auto saved = checkpoint::Checkpoint::parse(*document);
    if (saved.source_id != source.id()) return;  // the names are the same, the clusters are not
    BalancerHold(source, target, store, waits_, [](const std::string& text) { log::warn("control", "{}", text); }, saved.balancers).release();
  } catch (const Error& e) {
    log::warn("control", "whether an earlier run has left balancers off could not be seen to; sh.getBalancerState() tells, sh.startBalancer() turns one on: {}", e.what());
  }
}

void Replicator::drive(std::stop_token stop) {
  connect(stop);
  while (!stop.stop_requested()) {
    again_ = false;
    follow_pair(stop);
    if (!again_) return;
    let_go();
    reconnect(stop);
  }
}

void Replicator::follow_pair(std::stop_token stop) {
  if (pair_->checkpoint && saved_.phase != Phase::copying) retrying(stop, [&] { balancers_->release(); });
  if (saved_.phase == Phase::failing_over) throw Error(Remedy::pause, "a failover was begun and is not ended", "stop this and run mongotwin failover --config …: it goes on");
  if (saved_.phase == Phase::failed_over) {
    Failover::open_target(*pair_->target, options_, stop);  // a process that is gone may have decided, and no more
    return stand_alone(stop);
  }
  if (saved_.phase == Phase::finished) {
    set_state(State::finished, options_.reversed ? "the link was finished after a change of roles; to start anew, swap source and target in the configuration and remove its document in mongotwin.checkpoints on both clusters"
                                                 : "the link was finished; remove its document in mongotwin.checkpoints on the target to start anew");
    return;
  }
  if (saved_.phase == Phase::finishing) {
    // Stopped in the middle of it: everything is applied, and the expiry that is back already forbids going on.
    holds_.load(saved_.held);
    make_pipeline();
    return restore(stop);
  }
  if (!pair_->checkpoint || saved_.phase == Phase::copying) copy(stop);
  if (stop.stop_requested()) return;
  follow(stop);
}

// Everything that belongs to the connections of now.
void Replicator::let_go() {
  std::unique_ptr<Pipeline> pipeline;
  std::unique_ptr<copy::InitialCopy> copied;
  end_verifier();
  std::unique_ptr<verify::Verifier> verifier;
  owner_watch_.reset();
  users_worker_.reset();
  users_.reset();
  index_build_watch_.reset();
  {
    Lock lock(m_);
    pipeline = std::move(pipeline_);
    copied = std::move(copy_);
    verifier = std::move(verifier_);
    last_observed_.reset();
    before_ = {};
    state_ = State::starting;
    detail_ = "connecting again";
    paused_ = false;
    // What was asked for is done or given up: it must not begin anew in the other direction.
    switch_requested_ = failover_requested_ = rejoin_requested_ = false;
  }
}

// The servers were there a moment ago: what is wrong may pass, and there is nobody whom an exit would tell.
void Replicator::reconnect(std::stop_token stop) {
  Backoff backoff;
  for (int n = 1; !stop.stop_requested(); ++n) {
    try {
      connect(stop);
      waits_.report("control", {});
      return;
    } catch (const Error& e) {
      if (n == kReconnectMost) throw;
      waits_.report("control", e.what());
    }
    if (!sleep_for(stop, backoff.next())) return;
  }
}

void Replicator::connect(std::stop_token stop) {
  auto roles = find_roles(configured_);
  journal::DiskJournal::check_free(roles.journal.path);
  auto pair = preflight(roles, [&](mongo::Cluster& source, mongo::Cluster& target) { release_balancers_of_a_dead_run(source, target); },
                        [&](Pair& found) { return Switchover::settle(found, roles, stop); });
  // Not before the preflight: a start that is refused must not take the pair from the one that works.
  auto store = std::make_unique<checkpoint::MongoCheckpointStore>(pair.target->router(), roles.link);
  store->claim();
  demand_unchanged(pair.checkpoint, store->load());
  if (roles.reversed) log::info("control", "the roles are swapped: the configuration's target is the source");
  for (const auto& line : pair.lines) log::info("control", "{}", line);
  Lock lock(m_);
  options_ = std::move(roles);
  saved_ = {};
  balancers_.reset();
  ddl_.reset();
  plan_.reset();
  store_.reset();
  layout_.reset();
  holds_.load(bson::View());
  pair_ = std::make_shared<Pair>(std::move(pair));
  layout_ = std::make_unique<apply::TargetLayout>(pair_->target->router(), pair_->target->sharded());
  store_ = std::move(store);
  plan_ = std::make_unique<copy::CopyPlan>(pair_->target->router(), options_.link);
  ddl_ = std::make_unique<apply::DdlApplier>(*pair_->target, *layout_, holds_, pair_->sharding, index_builds_);
  index_build_watch_ = std::make_unique<apply::IndexBuildWatch>(*pair_->target, index_builds_);
  if (pair_->checkpoint) saved_ = *pair_->checkpoint;
  if (!saved_.failure.empty()) {
    pair_->warnings.push_back("an earlier run stopped: " + saved_.failure + "; see to what it names, and compare it, before you rely on the target");
    log::warn("control", "{}", pair_->warnings.back());
  }
  auto warn = [this](std::string text) {
    log::warn("control", "{}", text);
    Lock again(m_);
    pair_->warnings.push_back(std::move(text));
  };
  balancers_ = std::make_unique<BalancerHold>(*pair_->source, *pair_->target, *store_, waits_, warn, saved_.balancers);
  if (saved_.phase != Phase::finished) owner_watch_ = std::make_unique<Worker>("owner", owner_signal_, kOwnerEvery, [this](std::stop_token) { return owner_step(); }, [this](std::exception_ptr e) { fail(e); });
  connected_ = true;
}

// Copying, or standing alone, it saves next to nothing.
Step Replicator::owner_step() {
  try {
    store_->demand_own();
  } catch (const Error& e) {
    if (e.remedy() != Remedy::retry) throw;
    log::debug("control", "{}", e.what());
  }
  return Step::idle;
}

void Replicator::make_pipeline() {
  PipelineLimits limits{options_.memory_limit_bytes, options_.journal.path, options_.journal.size_limit_bytes};
  auto pipeline = std::make_unique<Pipeline>(*pair_->source, *pair_->target, *layout_, *ddl_, holds_, *store_, pair_->filter, waits_, apply_throttle_, limits, [this](std::exception_ptr e) { fail(e); });
  Lock lock(m_);
  pipeline->set_lanes(lanes_);
  pipeline_ = std::move(pipeline);
}

Replicator::Positions Replicator::newest_positions(std::stop_token stop) {
  Positions out;
  retrying(stop, [&] {
    out.clear();
    for (auto& shard : pair_->source->shards()) {
      auto client = shard.pool->acquire();
      out.push_back(source::newest_position(client));
    }
  });
  return out;
}

void Replicator::copy(std::stop_token stop) {
  bool goes_on = false;
  retrying(stop, [&] { goes_on = can_go_on_copying(); });
  source::SourceCatalog catalog;
  if (goes_on) holds_.load(saved_.held);
  else catalog = begin_copy(stop);
  if (stop.stop_requested()) return;
  make_pipeline();
  copy::InitialCopy* copy = nullptr;
  {
    Lock lock(m_);
    if (goes_on) {
      pipeline_->catalog().load(saved_.catalog);
    } else {
      for (const auto& listed : catalog.listed) pipeline_->catalog().add(listed);
      for (const auto& view : catalog.views) pipeline_->catalog().add_view(view.ns, view.definition);
      saved_.catalog = pipeline_->catalog().to_document();
    }
    pipeline_->start_reading(saved_.resume);
    copy::CopyLimits limits;
    limits.copiers = [this] { return static_cast<int>(copiers_.limit()); };
    limits.index_builds = options_.index_builds;
    limits.indexes_before = options_.indexes == options::Indexes::before;
    limits.reading = reading_of(options_.reading);
    limits.preference = preference_of(options_.read_preference);
    limits.memory_bytes = options_.memory_limit_bytes / 4;
    auto note_held = [this] {
      Lock in_turn(held_m_);
      store_->save(bson::Builder().document("held", holds_.to_document()).finish());
    };
    copy_ = std::make_unique<copy::InitialCopy>(*pair_->source, *pair_->target, *layout_, *ddl_, *plan_, copy_throttle_, limits, saved_.positions, waits_.reporter("copy"), note_held);
    copy = copy_.get();
  }
  set_state(State::copying);
  retrying(stop, [&] { balancers_->hold(stop); });
  if (goes_on) {
    copy->go_on(pair_->filter, stop);
  } else {
    log::info("copy", "copying {} collections", catalog.collections.size());
    auto planned = [&] {
      saved_.copy_planned = true;
      saved_.held = holds_.to_document();
      retrying(stop, [&] { store_->save(saved_.to_fields()); });
    };
    copy->run(catalog, pair_->filter, planned, stop);
  }
  if (stop.stop_requested()) return;
  log::info("copy", "copied {} documents", copy->progress().documents_done);

  std::vector<copy::InitialCopy::CappedPosition> capped;
  retrying(stop, [&] { capped = copy->capped_positions(saved_.resume, stop); });
  if (stop.stop_requested()) return;
  saved_.phase = Phase::catching_up;
  {
    Lock lock(m_);
    for (const auto& c : capped) pipeline_->catalog().set_copied_up_to(c.uuid, c.ts);
    saved_.catalog = pipeline_->catalog().to_document();
  }
  saved_.held = holds_.to_document();
  saved_.created.clear();
  saved_.copy_planned = false;
  retrying(stop, [&] { store_->save(saved_.to_fields()); });
  retrying(stop, [&] { balancers_->release(); });
  retrying(stop, [&] { plan_->clear(); });
}

// A copy that was interrupted goes on if every shard's history since its start is there, in the journal or on the source.
bool Replicator::can_go_on_copying() {
  if (!pair_->checkpoint) return false;
  auto again = [](const std::string& why) {
    log::warn("copy", "an earlier copy was interrupted: starting again from zero, since {}", why);
    return false;
  };
  if (!saved_.copy_planned) return again("it had not planned its ranges yet");
  if (saved_.shards != pair_->source->shard_names()) return again("the source has other shards now");
  for (std::size_t s = 0; s < saved_.resume.size(); ++s) {
    auto& shard = pair_->source->shards()[s];
    try {
      check_history(*pair_->source, shard, saved_.resume[s], options_.journal.path);
    } catch (const Error& e) {
      if (e.remedy() != Remedy::resync) throw;
      return again(e.what());
    }
  }
  return true;
}

source::SourceCatalog Replicator::begin_copy(std::stop_token stop) {
  set_state(State::copying, "reading the source's catalog");
  auto leftovers = saved_.created;
  auto to_empty = saved_.emptied;
  if (!pair_->checkpoint) {
    leftovers = pair_->existing;
    to_empty.clear();
    saved_.emptied = pair_->sharded_beforehand;
  }
  saved_.phase = Phase::copying;
  saved_.copy_planned = false;
  saved_.source_id = pair_->source->id();
  saved_.namespaces = pair_->namespaces;
  saved_.shards = pair_->source->shard_names();
  saved_.hosts = pair_->source->shard_hosts();
  saved_.awaited.clear();
  retrying(stop, [&] {
    saved_.positions.clear();
    saved_.resume.clear();
    for (auto& shard : pair_->source->shards()) {
      auto client = shard.pool->acquire();
      auto start = source::start_position(client);
      saved_.positions.push_back(start.frontier);
      saved_.resume.push_back(start.resume);
    }
  });
  source::SourceCatalog catalog;
  retrying(stop, [&] { catalog = source::read_catalog(*pair_->source, stop); });
  if (stop.stop_requested()) return catalog;
  saved_.listed_up_to = catalog.listed_up_to;
  for (const auto& c : catalog.collections)
    if (pair_->filter.includes(c.ns)) saved_.created.push_back(apply::user_namespace(pair_->filter.target(c.ns)));
  for (const auto& v : catalog.views)
    if (pair_->filter.includes(v.ns)) saved_.created.push_back(pair_->filter.target(v.ns));
  std::sort(saved_.created.begin(), saved_.created.end());
  saved_.created.erase(std::unique(saved_.created.begin(), saved_.created.end()), saved_.created.end());
  std::erase_if(saved_.created, [&](const auto& ns) { return std::find(saved_.emptied.begin(), saved_.emptied.end(), ns) != saved_.emptied.end(); });
  holds_.load(bson::View());
  retrying(stop, [&] { store_->save(saved_.to_fields()); });
  clear_target(leftovers, to_empty, stop);
  return catalog;
}

// Leaves nothing of an earlier try, or of what the user wants replaced.
void Replicator::clear_target(const std::vector<std::string>& drop, const std::vector<std::string>& empty, std::stop_token stop) {
  for (const auto& ns : drop) {
    log::info("copy", "target: dropping {}", ns);
    retrying(stop, [&] { ddl_->apply({oplog::DdlKind::drop, ns, {}, false, {}, {}}, true, false); });
  }
  for (const auto& ns : empty) {
    log::info("copy", "target: emptying {}", ns);
    auto command = bson::Builder();
    command.string("delete", ns.substr(ns.find('.') + 1)).open_array("deletes").open_document("0").open_document("q").close().int32("limit", 0).close().close();
    command.open_document("writeConcern").string("w", "majority").close();
    auto document = command.finish();
    retrying(stop, [&] {
      auto reply = pair_->target->patient().acquire().run(ns.substr(0, ns.find('.')), document);
      if (auto errors = reply.view().fields("writeErrors"); !errors.empty())
        throw Error(Remedy::retry, fmt::format("target: {} can't be emptied: {}", ns, errors.begin()->fields().string("errmsg").value_or("")));
    });
  }
}

void Replicator::follow(std::stop_token stop) {
  set_state(State::catching_up);
  // Up to here the target may already be newer than the operations: copied later, or applied before a crash.
  auto exact_after = newest_positions(stop);
  if (stop.stop_requested()) return;
  retrying(stop, [&] { layout_->refresh(); });
  open_pipeline(exact_after, stop);
  if (options_.copy_users) follow_users(stop);
  bool caught_up = false;
  while (!stop.stop_requested() && !finish_requested_) {
    {
      Lock lock(m_);
      if (error_) return;
      auto observed = pipeline_->observe();
      bool past = observed.applied.size() == exact_after.size() && pipeline_->consistent();
      for (std::size_t s = 0; past && s < exact_after.size(); ++s) past = observed.applied[s] >= exact_after[s];
      if (past && !std::exchange(caught_up, true)) {
        state_ = State::replicating;
        note_replicating();
        make_verifier();
        log::info("control", "caught up: replicating");
      }
    }
    bool fails_over = failover_requested_.exchange(false);
    if (fails_over || (caught_up && switch_requested_.exchange(false))) {
      cancel_verification();
      end_verifier();
      return fails_over ? take_over(stop) : change_roles(stop);
    }
    if (auto changed = follow_shards(stop)) exact_after = std::move(*changed);
    else drive_signal_.wait(stop, kLookEvery);
  }
  if (!stop.stop_requested()) finish_link(stop);
}

void Replicator::follow_users(std::stop_token stop) {
  users_ = std::make_unique<copy::UserCopy>(pair_->source->router(), pair_->target->router(), options_.copy_users->exclude, saved_.users.value_or(std::vector<std::string>()),
                                            [this](const auto& copied) { store_->save(checkpoint::Checkpoint::fields_of_users(copied)); });
  retrying(stop, [&] { users_->sync(); });
  users_worker_ = std::make_unique<Worker>("users", users_signal_, kUsersEvery, [this](std::stop_token) { return users_step(); }, [this](std::exception_ptr e) { fail(e); });
}

Step Replicator::users_step() {
  bool paused = [&] {
    Lock lock(m_);
    return paused_;
  }();
  if (paused) return Step::idle;
  try {
    users_->sync();
    waits_.report("users", {});
  } catch (const Error& e) {
    if (e.remedy() != Remedy::retry) throw;
    waits_.report("users", e.what());
  }
  return Step::idle;
}

void Replicator::open_pipeline(Positions exact_after, std::stop_token stop) {
  bool reading = [&] {
    Lock lock(m_);
    return pipeline_ != nullptr;
  }();
  if (!reading) {
    holds_.load(saved_.held);
    make_pipeline();
    {
      Lock lock(m_);
      pipeline_->catalog().load(saved_.catalog);
      pipeline_->start_reading(saved_.resume);
    }
    retrying(stop, [&] { find_capped_positions(stop); });
    if (stop.stop_requested()) return;
  }
  Lock lock(m_);
  pipeline_->start_applying({saved_.positions, saved_.listed_up_to, std::move(exact_after), saved_.awaited, saved_.phase == Phase::replicating});
  pipeline_->hold(paused_);
}

std::optional<Replicator::Positions> Replicator::follow_shards(std::stop_token stop) {
  bool exact = false;
  std::optional<Pipeline::ShardChange> change;
  std::unique_ptr<Pipeline> done;
  Pipeline* pipeline = nullptr;
  {
    Lock lock(m_);
    pipeline = pipeline_.get();
    change = pipeline_->shard_change();
    if (!change || cut_taken_) return {};
    auto applied = pipeline_->observe().applied;
    for (std::size_t n = 0; n < change->removed.size(); ++n)
      if (applied.at(change->removed[n]) < change->ends[n]) return {};
    pipeline_->hold(true);
    if (!pipeline_->drained()) return {};
    exact = pipeline_->exact();
  }
  retrying(stop, [&] { pipeline->save_checkpoint(); });
  std::optional<bson::Document> document;
  retrying(stop, [&] { document = store_->load(); });
  if (stop.stop_requested()) return {};
  if (!document) throw Error(Remedy::resync, "the checkpoint on the target is gone", "start again with a new copy");
  saved_ = checkpoint::Checkpoint::parse(*document);
  {
    Lock lock(m_);
    last_observed_ = pipeline_->observe();
    before_.entries_read += last_observed_->entries_read;
    before_.ops_applied += last_observed_->ops_applied;
    for (const auto& [kind, n] : last_observed_->by_kind) before_.by_kind[kind] += n;
    last_observed_->entries_read = last_observed_->ops_applied = 0;
    last_observed_->by_kind.clear();
    done = std::move(pipeline_);
  }
  done.reset();
  change_shards(*change, stop);
  // A cut of the source, and nothing on the target beyond it: exact from the start.
  auto exact_after = exact ? saved_.positions : newest_positions(stop);
  if (stop.stop_requested()) return {};
  open_pipeline(exact_after, stop);
  return exact_after;
}

// What a change of roles takes for all shards of a cluster must be all of them. Only while no pipeline goes by their order.
void Replicator::look_for_shards(mongo::Cluster& cluster) {
  cluster.router().acquire().run("admin", bson::Builder().int32("ping", 1).finish());  // who doesn't answer is not waited for under the locks
  Lock shape(shape_m_);
  Lock lock(m_);
  if (cluster.look_for_shards()) log::info("control", "{}: its shards are now {}", cluster.label(), fmt::join(cluster.shard_names(), ", "));
}

void Replicator::change_shards(const Pipeline::ShardChange& change, std::stop_token stop) {
  for (const auto& row : change.added) {
    mongo::Shard* shard = nullptr;
    {
      Lock shape(shape_m_);
      Lock lock(m_);
      shard = &pair_->source->add_shard(row.name, row.host);
    }
    retrying(stop, [&] {
      auto start = source::join_position(*shard);
      saved_.add_shard(row.name, row.host, start);
      log::info("control", "the source has a new shard {} ({}): following it from {}", row.name, row.host, oplog::to_string(start));
    });
    if (stop.stop_requested()) return;
  }
  for (auto it = change.removed.rbegin(); it != change.removed.rend(); ++it) {
    log::info("control", "the shard {} has left the source, all its entries are applied", saved_.shards.at(*it));
    waits_.report("read." + saved_.shards.at(*it), {});
    saved_.remove_shard(*it);
    Lock shape(shape_m_);
    Lock lock(m_);
    pair_->source->remove_shard(*it);
  }
  retrying(stop, [&] { store_->save(saved_.to_fields()); });
}

// What was inserted into a capped collection after the checkpoint and before the end of the last run must not be inserted
// again, even if it was evicted since. The newest document tells how far that run came.
void Replicator::find_capped_positions(std::stop_token stop) {
  auto& catalog = [&]() -> oplog::Catalog& {
    Lock lock(m_);
    return pipeline_->catalog();
  }();
  auto target = pair_->target->router().acquire();
  for (const auto& c : catalog.capped()) {
    auto dot = c.ns.find('.');
    auto newest = bson::Builder().string("find", c.ns.substr(dot + 1)).open_document("sort").int32("$natural", -1).close().int32("limit", 1).boolean("singleBatch", true).finish();
    for (const auto& doc : mongo::fetch_all(target, c.ns.substr(0, dot), newest)) {
      auto client = pair_->source->shards()[c.shard].pool->acquire();
      if (auto ts = source::inserted_at(client, c.uuid, doc["_id"], saved_.positions[c.shard], source::newest_position(client), stop)) catalog.set_copied_up_to(c.uuid, *ts);
    }
  }
}

void Replicator::finish_link(std::stop_token stop) {
  cancel_verification();
  end_verifier();
  set_state(State::finishing, "applying what the source has now");
  Pipeline* pipeline = nullptr;
  {
    Lock lock(m_);
    paused_ = false;
    pipeline = pipeline_.get();
  }
  pipeline->hold(false);
  pipeline->stop_after(newest_positions(stop));
  while (!pipeline->stopped()) {
    if (stop.stop_requested()) return;
    {
      Lock lock(m_);
      if (error_) return;
    }
    if (follow_shards(stop)) {
      {
        Lock lock(m_);
        pipeline = pipeline_.get();
      }
      pipeline->stop_after(newest_positions(stop));
    }
    drive_signal_.wait(stop, kLookEvery);
  }
  users_worker_.reset();
  waits_.report("users", {});
  if (users_) retrying(stop, [&] { users_->sync(copy::UserCopy::Upto::now); });
  if (stop.stop_requested()) return;
  set_state(State::finishing, "comparing definitions, counts and samples");
  auto found = look_quickly(kFinalLook, stop);
  if (stop.stop_requested()) return;
  finish_report_ = found.failure.empty() ? status::verdict_text(found) : found.failure;
  if (found.verdict == status::Verdict::different) {
    for (const auto& d : found.listed) log::warn("control", "finish: {}{}{}: {}", d.ns, d.id.empty() ? "" : " ", d.id, d.what);
    Lock lock(m_);
    pair_->warnings.push_back(fmt::format("a look at both clusters before the end said: {}{}{}; mongotwin verify --config … compares them in full", finish_report_, found.listed.empty() ? "" : ", such as in " + found.listed.front().ns,
                                          found.listed.empty() ? "" : ": " + found.listed.front().what));
  }
  retrying(stop, [&] { pipeline->save_phase(Phase::finishing); });
  restore(stop);
}

void Replicator::restore(std::stop_token stop) {
  set_state(State::finishing, "restoring what was held back on the target");
  Pipeline* pipeline = nullptr;
  {
    Lock lock(m_);
    pipeline = pipeline_.get();
  }
  retrying(stop, [&] { ddl_->restore_held(); });
  if (saved_.handover["target_closed"].truthy()) {  // by a switch-over, when it became the target
    WriteBlock block(*pair_->target, options_.target_hooks, options_.link);
    retrying(stop, [&] { block.open(stop); });
  }
  retrying(stop, [&] { pipeline->save_phase(Phase::finished); });
  if (stop.stop_requested()) return;
  owner_watch_.reset();
  std::unique_ptr<Pipeline> done;
  {
    Lock lock(m_);
    last_observed_ = pipeline_->observe();
    done = std::move(pipeline_);
  }
  done.reset();
  journal::DiskJournal::remove(options_.journal.path);
  set_state(State::finished, finish_report_.empty() ? "" : "a last look at definitions, counts and samples: " + finish_report_);
  log::info("control", "finished: the target stands on its own{}{}", finish_report_.empty() ? "" : "; a last look said: ", finish_report_);
}

void Replicator::pause() {
  Lock lock(m_);
  demand_no_handover();
  if (state_ != State::replicating && state_ != State::catching_up)
    throw Error(Remedy::pause, fmt::format("can't pause while {}", status::to_string(state_)), "wait until it is catching_up or replicating");
  paused_ = true;
  if (pipeline_) pipeline_->hold(true);
  log::info("control", "paused by request");
}

void Replicator::resume() {
  Lock lock(m_);
  if (!paused_) return;
  paused_ = false;
  if (pipeline_) pipeline_->hold(cut_taken_ || error_);
  log::info("control", "resumed by request");
}

void Replicator::finish() {
  Lock lock(m_);
  if (state_ == State::finishing || state_ == State::finished) return;
  demand_no_handover();
  if (state_ != State::replicating && state_ != State::catching_up)
    throw Error(Remedy::pause, fmt::format("can't finish while {}", status::to_string(state_)), state_ == State::copying ? "wait until the copy has ended; to give it up, stop mongotwin and drop the target's collections" : state_ == State::failed_over ? "the target stands alone already; remove the link's document in mongotwin.checkpoints on it once mongotwin is stopped" : "wait until it is replicating");
  finish_requested_ = true;
  drive_signal_.notify();
  log::info("control", "finishing by request");
}

void Replicator::throttle(const status::Throttles& throttles) {
  copy_throttle_.set(throttles.copy_bytes);
  apply_throttle_.set(throttles.operations);
  verify_throttle_.set(throttles.verify_bytes);
  copiers_.set(static_cast<std::uint64_t>(throttles.copiers));
  Lock lock(m_);
  lanes_ = throttles.lanes;
  if (pipeline_) pipeline_->set_lanes(throttles.lanes);
}

status::Throttles Replicator::throttles() const { return {copy_throttle_.rate(), apply_throttle_.rate(), static_cast<int>(copiers_.limit()), lanes_, verify_throttle_.rate()}; }

void Replicator::set_state(State state, std::string detail) {
  Lock lock(m_);
  if (error_) return;
  if (state_ != state) log::info("control", "state: {}", status::to_string(state));
  state_ = state;
  detail_ = std::move(detail);
}

void Replicator::fail(std::exception_ptr error) {
  {
    Lock lock(m_);
    if (error_) return;
    error_ = error;
    state_ = State::failed;
    if (pipeline_) pipeline_->hold(true);  // what goes on beside the worker that failed
  }
  try {
    std::rethrow_exception(error);
  } catch (const Error& e) {
    log::error("control", "stopped: {}{}{}", e.what(), e.hint().empty() ? "" : "; ", e.hint());
  } catch (const std::exception& e) {
    log::error("control", "stopped: {}", e.what());
  }
  drive_signal_.notify();
}

}  // namespace mongotwin::control
