// SPDX-License-Identifier: Apache-2.0
// The failover without a running mongotwin: it went down with the source's data centre, or could not start without it.
#include <fmt/format.h>

#include <algorithm>
#include <mutex>

#include "control/engine.h"
#include "control/failover.h"
#include "control/layout_check.h"
#include "control/roles.h"

namespace mongotwin::control {

using checkpoint::Checkpoint;
using checkpoint::Phase;
using oplog::Timestamp;

namespace {

// How far every shard was read; throws Error(pause) when the journal does not have it from the checkpoint on.
std::vector<Timestamp> spans(const options::Options& options, const Checkpoint& saved) {
  std::vector<Timestamp> out;
  for (std::size_t s = 0; s < saved.shards.size(); ++s) {
    auto span = journal::DiskJournal::span_of(options.journal.path, saved.source_id, saved.shards[s]);
    if (!span || span->first > saved.resume.at(s) || saved.resume[s] > span->last)
      throw Error(Remedy::pause, fmt::format("the journal {} does not have what the source's shard {} wrote after {}", options.journal.path, saved.shards[s], oplog::to_string(saved.resume[s])),
                  "run it where mongotwin ran, with its journal.path. If that is gone too: mongotwin failover --force takes the target as it is, which may be a state that the source never had: transactions in part");
    out.push_back(span->last);
  }
  return out;
}

Pair pair_of(const options::Options& options) {
  Pair pair;
  pair.filter = filter_of(options);
  pair.namespaces = text_of(options.namespaces);
  pair.target = mongo::Cluster::connect("target", options.target_uri, to_mongo(options.target_shard_credentials));
  auto document = checkpoint::MongoCheckpointStore(pair.target->router(), options.link).load();
  if (!document) throw Error(Remedy::fix_config, fmt::format("target: there is no link \"{}\" on it", options.link), "a failover needs a pair that was replicating");
  pair.checkpoint = Checkpoint::parse(*document);
  const auto& saved = *pair.checkpoint;
  bool sharded = !saved.hosts.empty() && !saved.hosts.front().empty();
  pair.source = mongo::Cluster::silent("source", saved.source_id, saved.shards, sharded);
  pair.sharding = sharding_rules(options, pair.filter);
  return pair;
}

}  // namespace

std::vector<std::string> fail_over(const options::Options& configured, bool force) {
  mongo::Driver driver;
  auto options = find_roles_without_source(configured);
  if (!force && answers(options.source_uri)) throw Error(Remedy::pause, "the source answers: nothing need be given up", "mongotwin run, then mongotwin switchover; or --force");
  auto pair = pair_of(options);
  auto& saved = *pair.checkpoint;
  if (saved.phase == Phase::failed_over) {
    Failover::open_target(*pair.target, options, {});
    std::vector<std::string> lines{"the pair has failed over already"};
    for (const auto& line : saved.handover.view().fields("lines")) lines.emplace_back(line.string().value_or(""));
    return lines;
  }
  // A switch-over is decided when all is applied, and a finish restores only then.
  bool all_applied = saved.phase == Phase::opening || saved.phase == Phase::finishing;
  if (!all_applied && saved.phase != Phase::replicating && saved.phase != Phase::failing_over)
    throw Error(Remedy::pause, fmt::format("the pair was {}: the target is no state that the source has had", to_string(saved.phase)), "a failover needs a pair that was replicating");
  journal::DiskJournal::check_free(options.journal.path);
  std::string unread;  // why the journal is of no use
  if (!all_applied) {
    std::optional<std::vector<Timestamp>> read;
    try {
      read = spans(options, saved);
    } catch (const Error& e) {
      if (!force) throw;
      unread = fmt::format("taken as it is, by force, since {}: of what the source wrote later some may be on the target and some not, transactions in part", e.what());
    }
    if (read) Failover::demand_even(*pair.source, *read, force);
  }

  SystemClock clock;
  WaitBoard waits;
  Throttle no_throttle{clock};
  apply::Holds holds;
  holds.load(saved.held);
  apply::TargetLayout layout(pair.target->router(), pair.target->sharded());
  layout.refresh();
  checkpoint::MongoCheckpointStore store(pair.target->router(), options.link);
  store.claim();
  apply::IndexBuilds builds;
  apply::DdlApplier ddl(*pair.target, layout, holds, pair.sharding, builds);
  if (all_applied || !unread.empty()) return Failover({pair, options, store, holds, ddl, [](const std::string&) {}, [] {}}).take_as_it_is(saved.positions, unread, saved.handover, {}).lines;
  std::mutex m;
  std::exception_ptr failed;
  PipelineLimits limits{options.memory_limit_bytes, options.journal.path, options.journal.size_limit_bytes};
  Pipeline pipeline(*pair.source, *pair.target, layout, ddl, holds, store, pair.filter, waits, no_throttle, limits, [&](std::exception_ptr e) {
    std::lock_guard lock(m);
    if (!failed) failed = e;
  });
  pipeline.catalog().load(saved.catalog);
  pipeline.start_from_journal(saved.resume);
  pipeline.set_lanes(options.lanes);
  // Up to the end of what was read the target may be newer than the operations.
  std::vector<Timestamp> never(saved.positions.size(), Timestamp{UINT32_MAX, UINT32_MAX});
  pipeline.start_applying({saved.positions, saved.listed_up_to, never, saved.awaited, true});
  auto check = [&] {
    std::lock_guard lock(m);
    if (failed) std::rethrow_exception(failed);
  };
  Failover failover({pair, options, store, holds, ddl, [](const std::string&) {}, check});
  return failover.run(pipeline, saved.handover, {}).lines;
}

}  // namespace mongotwin::control
