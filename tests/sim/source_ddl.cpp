// SPDX-License-Identifier: Apache-2.0
// Collections and indexes of the source. DDL of a collection waits for its transactions and takes place on every
// shard that has it, each at its own ts, with no write in between: the server's critical section.
#include <fmt/format.h>

#include <algorithm>

#include "source.h"

namespace mongotwin::sim {

using bson::Builder;
using bson::Document;

oplog::Uuid Source::new_uuid() {
  oplog::Uuid u;
  u.bytes.fill(0xab);
  u.bytes[0] = static_cast<std::uint8_t>(next_uuid_ / 250);
  u.bytes[15] = static_cast<std::uint8_t>(next_uuid_++ % 250);
  return u;
}

std::string Source::free_name(const std::string& db) {
  std::vector<std::string> names;
  for (const char* name : {"c1", "c2", "c3", "c4"})
    if (!pick([&](const auto& c) { return c.db == db && c.name == name; })) names.emplace_back(name);
  return names.empty() ? std::string() : random_.pick(names);
}

std::set<ShardIndex> Source::with_chunks(const SourceCollection& c) const {
  if (c.sharded()) return {c.owners.begin(), c.owners.end()};
  return {primaries_.at(c.db)};
}

bool Source::quiet(const SourceCollection& c) const {
  bool moving = std::any_of(migrations_.begin(), migrations_.end(), [&](const auto& m) { return m.collection == c.id; });
  return c.alive && c.locked.empty() && !c.ddl_blocked && !moving;
}

Tick Source::barrier(const SourceCollection& c) const {
  Tick latest = 0;
  for (const auto& [shard, uuid] : c.incarnations) latest = std::max(latest, shards_[shard].clock);
  return latest;
}

// What these shards do from now on comes after `tick`.
void Source::pass(const std::set<ShardIndex>& shards, Tick tick) {
  for (auto shard : shards) shards_[shard].clock = std::max(shards_[shard].clock, tick);
}

Tick Source::command(ShardIndex shard, Tick after, const SourceCollection& c, const oplog::Uuid& uuid, const Document& o, bool migrate) {
  Builder b;
  b.string("op", "c").string("ns", c.db + ".$cmd").uuid("ui", uuid.view()).document("o", o);
  if (migrate) b.boolean("fromMigrate", true);
  return log(shard, after, b.finish());
}

bool Source::create() {
  auto db = std::string(random_.one_in(2) ? "d0" : "d1");
  auto name = free_name(db);
  bool moving = std::any_of(copyings_.begin(), copyings_.end(), [&](const auto& c) { return c.kind == Copying::move_primary && collections_.at(c.collection).db == db; });
  if (name.empty() || moving) return false;
  SourceCollection c;
  c.id = next_id_++;
  c.db = db;
  c.name = name;
  c.capped = random_.one_in(10);
  auto primary = primaries_.at(db);
  auto uuid = new_uuid();
  c.incarnations[primary] = uuid;
  Builder o;
  o.string("create", name);
  if (c.capped) o.boolean("capped", true).int32("size", 4096).int32("max", 6);
  o.open_document("idIndex").int32("v", 2).string("name", "_id_").close();
  // A name is free when the drop of what had it is over everywhere.
  Tick after = 0;
  for (const auto& shard : shards_) after = std::max(after, shard.clock);
  auto tick = command(primary, after, c, uuid, o.finish());
  Effect e;
  e.kind = Effect::create;
  e.collection = c.id;
  e.ns = c.ns();
  e.capped = c.capped;
  reference_.add({to_timestamp(tick), primary, {e}});
  c.ddl_tick = tick;
  if (!c.capped && random_.one_in(2)) {
    c.shard_key = random_.one_in(2) ? "k" : "_id";
    for (int n = 0; n < kChunks; ++n) c.owners.push_back(static_cast<ShardIndex>(random_.below(static_cast<int>(shards_.size()))));
    c.ddl_tick = log(primary, tick, Builder().string("op", "n").string("ns", "").open_document("o").string("msg", "").close().open_document("o2").string("shardCollection", c.ns()).open_document("shardKey").int32(c.shard_key, 1).close().boolean("unique", false).close().finish());
    for (auto shard : with_chunks(c))
      if (!c.incarnations.contains(shard)) {
        c.ddl_tick = std::max(c.ddl_tick, command(shard, tick, c, uuid, Builder().string("create", name).finish(), true));
        c.incarnations[shard] = uuid;
      }
  }
  collections_[c.id] = std::move(c);
  return true;
}

bool Source::shard_it() {
  auto* c = pick([&](const auto& x) { return !x.sharded() && !x.capped && x.indexes.empty() && quiet(x); });
  if (!c) return false;
  c->shard_key = random_.one_in(2) ? "k" : "_id";
  auto primary = primaries_.at(c->db);
  c->owners.assign(kChunks, primary);
  c->ddl_tick = log(primary, barrier(*c), Builder().string("op", "n").string("ns", "").open_document("o").string("msg", "").close().open_document("o2").string("shardCollection", c->ns()).open_document("shardKey").int32(c->shard_key, 1).close().boolean("unique", false).close().finish());
  return true;
}

void Source::drop_collection(SourceCollection& c) {
  auto after = barrier(c);
  Tick latest = 0;
  ShardIndex last = 0;
  for (const auto& [shard, uuid] : c.incarnations) {
    auto tick = command(shard, after, c, uuid, Builder().string("drop", c.name).finish());
    if (tick >= latest) latest = tick, last = shard;
  }
  Effect e;
  e.kind = Effect::drop;
  e.collection = c.id;
  reference_.add({to_timestamp(latest), last, {e}});
  for (const auto& [shard, uuid] : c.incarnations) pass({shard}, latest);
  c.alive = false;
  std::erase_if(orphans_, [&](const auto& o) { return o.collection == c.id; });
}

bool Source::drop() {
  auto* c = pick([&](const auto& x) { return quiet(x); });
  if (!c) return false;
  drop_collection(*c);
  return true;
}

bool Source::drop_database() {
  auto db = std::string(random_.one_in(2) ? "d0" : "d1");
  if (pick([&](const auto& c) { return c.db == db && !quiet(c); })) return false;
  Tick latest = 0;
  std::set<ShardIndex> shards;
  while (auto* c = pick([&](const auto& x) { return x.db == db; })) {
    for (const auto& [shard, uuid] : c->incarnations) shards.insert(shard);
    drop_collection(*c);
  }
  for (auto shard : shards) latest = std::max(latest, shards_[shard].clock);
  for (auto shard : shards) (void)log(shard, latest, Builder().string("op", "c").string("ns", db + ".$cmd").open_document("o").int32("dropDatabase", 1).close().finish());
  return true;
}

bool Source::rename() {
  auto* c = pick([&](const auto& x) { return quiet(x); });
  if (!c) return false;
  auto* target = random_.one_in(2) ? pick([&](const auto& x) { return &x != c && x.db == c->db && x.sharded() == c->sharded() && quiet(x); }) : nullptr;
  bool moving = std::any_of(copyings_.begin(), copyings_.end(), [&](const auto& p) { return p.kind == Copying::move_primary && collections_.at(p.collection).db == c->db; });
  auto name = target ? target->name : free_name(c->db);
  if (name.empty() || moving) return false;
  Tick after = barrier(*c);
  for (const auto& shard : shards_) after = std::max(after, shard.clock);  // the name is free everywhere
  std::set<ShardIndex> shards;
  std::optional<std::pair<Tick, ShardIndex>> first;
  std::optional<std::pair<Tick, ShardIndex>> last_drop;
  bool together = false;
  Tick latest = 0;
  for (ShardIndex s = 0; s < shards_.size(); ++s) {
    auto mine = c->incarnations.find(s);
    auto replaced = target ? target->incarnations.find(s) : c->incarnations.end();
    bool has_replaced = target && replaced != target->incarnations.end();
    if (mine == c->incarnations.end() && !has_replaced) continue;
    shards.insert(s);
    if (mine != c->incarnations.end()) {
      Builder o;
      o.string("renameCollection", c->ns()).string("to", c->db + "." + name).boolean("stayTemp", false);
      if (has_replaced) o.uuid("dropTarget", replaced->second.view());
      auto tick = command(s, after, *c, mine->second, o.finish());
      latest = std::max(latest, tick);
      if (!first || std::pair(tick, s) < *first) first = {tick, s};
      if (has_replaced) together = true;
    } else {
      auto tick = command(s, after, *target, replaced->second, Builder().string("drop", target->name).finish());
      latest = std::max(latest, tick);
      if (!last_drop || *last_drop < std::pair(tick, s)) last_drop = {tick, s};
    }
  }
  // The replaced collection goes with the first rename, or before it if each of its shards has dropped it by then.
  Effect gone, renamed;
  gone.kind = Effect::drop;
  renamed.kind = Effect::rename;
  renamed.collection = c->id;
  renamed.ns = c->db + "." + name;
  std::vector<Effect> effects;
  if (target) {
    gone.collection = target->id;
    if (!together && last_drop && *last_drop < *first) reference_.add({to_timestamp(last_drop->first), last_drop->second, {gone}});
    else effects.push_back(gone);
    target->alive = false;
    std::erase_if(orphans_, [&](const auto& o) { return o.collection == target->id; });
  }
  effects.push_back(renamed);
  reference_.add({to_timestamp(first->first), first->second, effects});
  c->name = name;
  c->ddl_tick = latest;
  pass(shards, latest);
  return true;
}

void Source::log_index(SourceCollection& c, ShardIndex shard, const oplog::Uuid& uuid, const std::string& collection, const Index& index, bool migrate, Tick after, Tick* at) {
  Builder spec;
  spec.int32("v", 2).open_document("key");
  for (const auto& path : index.keys) spec.int32(path, 1);
  spec.close().string("name", index.name);
  if (index.unique) spec.boolean("unique", true);
  auto s = spec.finish();
  Tick tick = 0;
  if (!migrate && random_.one_in(2)) {  // on a collection with documents: built in the background
    auto list = [&](const char* name) {
      return Builder().string(name, collection).uuid("indexBuildUUID", uuid.view()).open_array("indexes").document("0", s).close().finish();
    };
    (void)command(shard, after, c, uuid, list("startIndexBuild"));
    tick = command(shard, after, c, uuid, list("commitIndexBuild"));
  } else {
    tick = command(shard, after, c, uuid, Builder().string("createIndexes", collection).fields_of(s).finish(), migrate);
  }
  if (at) *at = tick;
}

bool Source::create_index() {
  auto* c = pick([&](const auto& x) { return quiet(x) && x.indexes.size() < 3; });
  if (!c) return false;
  Index index;
  index.unique = random_.one_in(2) && c->shard_key != "_id";
  index.keys = {random_.one_in(2) || index.unique ? "u" : "a"};
  if (c->shard_key == "k") index.keys.insert(index.keys.begin(), "k");
  index.name = fmt::format("{}{}", fmt::join(index.keys, "_"), index.unique ? "_unique" : "");
  if (c->indexes.contains(index.name)) return false;
  if (index.unique) {
    c->indexes[index.name] = {index, {}};
    bool ok = std::all_of(c->docs.begin(), c->docs.end(), [&](const auto& d) { return unique_ok(*c, d.first, d.second.value, {}); });
    c->indexes.erase(index.name);
    if (!ok) return false;
  }
  auto& mine = c->indexes[index.name];
  mine.spec = index;
  std::optional<std::pair<Tick, ShardIndex>> first;
  Tick latest = 0;
  auto after = barrier(*c);
  for (auto shard : with_chunks(*c)) {  // not where the collection is a left-over without chunks
    Tick tick = 0;
    log_index(*c, shard, c->incarnations.at(shard), c->name, index, false, after, &tick);
    mine.on.insert(shard);
    latest = std::max(latest, tick);
    if (!first || std::pair(tick, shard) < *first) first = {tick, shard};
  }
  Effect e;
  e.kind = Effect::create_index;
  e.collection = c->id;
  e.index = index;
  reference_.add({to_timestamp(first->first), first->second, {e}});
  c->ddl_tick = latest;
  pass(with_chunks(*c), latest);
  return true;
}

bool Source::drop_index() {
  auto* c = pick([&](const auto& x) { return quiet(x) && !x.indexes.empty(); });
  if (!c) return false;
  std::vector<std::string> names;
  for (const auto& [name, index] : c->indexes) names.push_back(name);
  auto index = c->indexes.at(random_.pick(names));
  std::optional<std::pair<Tick, ShardIndex>> first;
  Tick latest = 0;
  auto after = barrier(*c);
  for (auto shard : with_chunks(*c)) {
    auto tick = command(shard, after, *c, c->incarnations.at(shard), Builder().string("dropIndexes", c->name).string("index", index.spec.name).finish());
    latest = std::max(latest, tick);
    if (!first || std::pair(tick, shard) < *first) first = {tick, shard};
  }
  Effect e;
  e.kind = Effect::drop_index;
  e.collection = c->id;
  e.index = index.spec;
  reference_.add({to_timestamp(first->first), first->second, {e}});
  c->indexes.erase(index.spec.name);
  c->ddl_tick = latest;
  pass(with_chunks(*c), latest);
  return true;
}

// create of a temporary name, its documents (the first unmarked, the others marked fromMigrate), rename over the old one.
bool Source::convert_to_capped() {
  auto* c = pick([&](const auto& x) { return !x.sharded() && !x.capped && x.docs.size() <= 6 && quiet(x); });
  if (!c) return false;
  auto primary = primaries_.at(c->db);
  SourceCollection tmp;
  tmp.id = next_id_++;
  tmp.db = c->db;
  tmp.name = fmt::format("tmp{}.convertToCapped.{}", next_tmp_++, c->name);
  tmp.capped = true;
  auto uuid = new_uuid();
  tmp.incarnations[primary] = uuid;
  tmp.touched = c->touched;
  auto tick = command(primary, 0, tmp, uuid, Builder().string("create", tmp.name).boolean("capped", true).int32("size", 4096).int32("max", 6).finish());
  Effect e;
  e.kind = Effect::create;
  e.collection = tmp.id;
  e.ns = tmp.ns();
  e.capped = true;
  reference_.add({to_timestamp(tick), primary, {e}});
  auto& to = collections_[tmp.id] = std::move(tmp);
  auto& from = *c;
  bool first = true;
  for (const auto& [key, doc] : from.docs) {
    WriteOp w{primary, to.id, 'i', encode(doc.value), document_key(from, doc.value), key, doc.value};
    Builder b;
    b.fields_of(body(w));
    if (!first) b.boolean("fromMigrate", true);
    first = false;
    auto at = log(primary, 0, b.finish());
    take_effect(w);
    reference_.add({to_timestamp(at), primary, {effect_of(w)}});
  }
  auto old = from.incarnations.at(primary);
  tick = command(primary, 0, to, uuid, Builder().string("renameCollection", to.ns()).string("to", from.ns()).boolean("stayTemp", false).uuid("dropTarget", old.view()).finish());
  Effect gone, renamed;
  gone.kind = Effect::drop;
  gone.collection = from.id;
  renamed.kind = Effect::rename;
  renamed.collection = to.id;
  renamed.ns = from.ns();
  reference_.add({to_timestamp(tick), primary, {gone, renamed}});
  from.alive = false;
  to.name = from.name;
  to.ddl_tick = tick;
  return true;
}

}  // namespace mongotwin::sim
