// SPDX-License-Identifier: Apache-2.0
#include "control/other_way.h"

#include <fmt/format.h>

#include "source/catalog_reader.h"
#include "source/mongo_oplog.h"

namespace mongotwin::control {

using oplog::Timestamp;

namespace {

template <class F>
void with_applier(Pair& pair, bson::View held, F&& f) {
  apply::Holds holds;
  holds.load(held);
  apply::TargetLayout layout(pair.source->router(), pair.source->sharded());
  apply::ShardingRules none;
  apply::IndexBuilds builds;
  apply::DdlApplier applier(*pair.source, layout, holds, none, builds);
  f(applier);
}

}  // namespace

void demand_own_place(Pair& pair, const std::string& link) {
  auto document = checkpoint::MongoCheckpointStore(pair.source->router(), link).load();
  if (document && checkpoint::Checkpoint::parse(*document).source_id != pair.target->id())
    throw Error(Remedy::pause, fmt::format("the source has a link of the name \"{}\" already: it is itself the target of another pair", link), "two pairs that share a cluster need two names: `link`");
}

std::vector<Timestamp> committed_ends(mongo::Cluster& cluster, std::chrono::milliseconds at_most) {
  std::vector<Timestamp> out;
  for (auto& shard : cluster.shards()) {
    auto client = shard.pool->acquire();
    // Until a majority has it, a last write is no entry that can be followed.
    auto note = bson::Builder();
    note.int32("appendOplogNote", 1).open_document("data").string("mongotwin", "end").close().open_document("writeConcern").string("w", "majority");
    if (at_most > apply::DdlApplier::kNoLimit) note.int64("wtimeout", at_most.count());
    client.run("admin", note.close().finish());
    out.push_back(source::newest_position(client));
  }
  return out;
}

checkpoint::Checkpoint other_way(Pair& pair, const std::vector<Timestamp>& positions, bson::View held, std::stop_token stop) {
  auto& source = *pair.target;
  checkpoint::Checkpoint next;
  next.source_id = source.id();
  next.namespaces = pair.namespaces;
  next.shards = source.shard_names();
  next.hosts = source.shard_hosts();
  next.held = held_on_source(pair, held);
  next.positions = next.resume = positions;
  auto listed = source::read_catalog(source, stop);
  oplog::Catalog catalog(pair.filter.inverted(), source.sharded());
  for (const auto& collection : listed.listed) catalog.add(collection);
  for (const auto& view : listed.views) catalog.add_view(view.ns, view.definition);
  next.catalog = catalog.to_document();
  next.listed_up_to = listed.listed_up_to;
  return next;
}

bson::Document held_on_source(const Pair& pair, bson::View held_on_target) {
  auto back = pair.filter.inverted();
  apply::Holds target, source;
  target.load(held_on_target);
  for (const auto& index : target.ttls()) source.hold_ttl(back.target(index.ns), index.name, index.value);
  for (const auto& collection : target.collection_ttls()) source.hold_collection_ttl(back.target(collection.ns), collection.value);
  return source.to_document();
}

void hold_on_source(Pair& pair, bson::View held, Held names, std::chrono::milliseconds at_most) {
  auto there = names == Held::by_source_names ? bson::Document::copy_of(held) : held_on_source(pair, held);
  with_applier(pair, there, [&](auto& applier) { applier.hold_again(at_most); });
}

void restore_on_source(Pair& pair, bson::View held) {
  with_applier(pair, held_on_source(pair, held), [](auto& applier) { applier.restore_held(); });
}

}  // namespace mongotwin::control
