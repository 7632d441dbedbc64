// SPDX-License-Identifier: Apache-2.0
// What moves documents between the source's shards: the balancer, movePrimary, resharding.
#include <fmt/format.h>

#include <algorithm>

#include "source.h"

namespace mongotwin::sim {

using bson::Builder;

// An entry of the server's own copying.
void Source::migrated(ShardIndex shard, Tick after, const SourceCollection& c, const oplog::Uuid& uuid, const std::string& collection, char op, const Value& doc, bool mark) {
  Builder b;
  b.string("op", std::string(1, op)).string("ns", c.db + "." + collection).uuid("ui", uuid.view());
  b.document("o", op == 'd' ? document_key(c, doc) : encode(doc));
  if (op != 'd') b.document("o2", document_key(c, doc));
  if (mark) b.boolean("fromMigrate", true);
  (void)log(shard, after, b.finish());
}

bool Source::begin_migration() {
  auto* c = pick([&](const auto& x) { return x.sharded() && !x.ddl_blocked; });
  if (!c || shards_.size() < 2 || migrations_.size() >= 2) return false;
  Migration m{c->id, random_.below(kChunks), 0, static_cast<ShardIndex>(random_.below(static_cast<int>(shards_.size()))), {}};
  m.from = c->owners[static_cast<std::size_t>(m.chunk)];
  bool twice = std::any_of(migrations_.begin(), migrations_.end(), [&](const auto& o) { return o.collection == c->id; });
  if (m.from == m.to || twice) return false;
  auto uuid = c->incarnations.at(m.from);
  auto after = c->ddl_tick;
  if (!c->incarnations.contains(m.to)) {
    after = command(m.to, after, *c, uuid, Builder().string("create", c->name).finish(), true);
    c->incarnations[m.to] = uuid;
    (void)log(m.from, 0, Builder().string("op", "n").string("ns", c->ns()).open_document("o").string("msg", "migrating chunk").close().open_document("o2").string("type", "migrateChunkToNewShard").close().finish());
  }
  for (auto& [name, index] : c->indexes)
    if (index.on.insert(m.to).second) log_index(*c, m.to, uuid, c->name, index.spec, true, after, nullptr);
  sweep(c->id, m.chunk, m.to);
  for (const auto& [key, doc] : c->docs)
    if (chunk_of(c->shard_key, doc.value) == m.chunk && doc.shard == m.from) {
      migrated(m.to, after, *c, uuid, c->name, 'i', doc.value, true);
      m.cloned[key] = doc.value;
    }
  migrations_.push_back(std::move(m));
  return true;
}

bool Source::end_migration() {
  if (migrations_.empty()) return false;
  auto at = random_.below(static_cast<int>(migrations_.size()));
  auto m = migrations_[static_cast<std::size_t>(at)];
  auto& c = collections_.at(m.collection);
  auto uuid = c.incarnations.at(m.to);
  if (random_.one_in(8)) {  // given up: what was copied is cleaned up some time
    Orphans left{c.id, m.chunk, m.to, {}};
    for (const auto& [key, value] : m.cloned) left.docs.push_back(value);
    orphans_.push_back(std::move(left));
    migrations_.erase(migrations_.begin() + at);
    return true;
  }
  auto in_chunk = [&](const Value& v) { return chunk_of(c.shard_key, v) == m.chunk; };
  for (const auto& [key, count] : c.locked) {
    auto doc = c.docs.find(key);
    if (doc == c.docs.end() || in_chunk(doc->second.value)) return false;  // the critical section waits for transactions
    for (const auto& t : transactions_)
      for (const auto& [shard, part] : t.parts)
        for (const auto& piece : part.pieces)
          for (const auto& w : piece)
            if (!part.ended && w.collection == c.id && w.after && in_chunk(*w.after)) return false;
  }
  for (const auto& [key, value] : m.cloned) {
    auto now = c.docs.find(key);
    if (now == c.docs.end() || !in_chunk(now->second.value)) migrated(m.to, 0, c, uuid, c.name, 'd', value, true);
  }
  Orphans left{c.id, m.chunk, m.from, {}};
  for (auto& [key, doc] : c.docs) {
    if (!in_chunk(doc.value)) continue;
    auto was = m.cloned.find(key);
    if (was == m.cloned.end()) migrated(m.to, 0, c, uuid, c.name, 'i', doc.value, true);
    else if (!(was->second == doc.value)) migrated(m.to, 0, c, uuid, c.name, 'u', doc.value, true);
    doc.shard = m.to;
    left.docs.push_back(doc.value);
  }
  pass({m.to}, shards_[m.from].clock);
  c.owners[static_cast<std::size_t>(m.chunk)] = m.to;
  if (!left.docs.empty()) orphans_.push_back(std::move(left));
  migrations_.erase(migrations_.begin() + at);
  return true;
}

bool Source::delete_orphans() {
  if (orphans_.empty()) return false;
  auto o = random_.pick(orphans_);
  sweep(o.collection, o.chunk, o.shard);
  return true;
}

// The range deleter's work on one chunk that the shard does not own.
void Source::sweep(int collection, int chunk, ShardIndex shard) {
  auto& c = collections_.at(collection);
  for (const auto& o : orphans_)
    if (o.collection == collection && o.chunk == chunk && o.shard == shard)
      for (const auto& doc : o.docs) migrated(shard, 0, c, c.incarnations.at(shard), c.name, 'd', doc, true);
  std::erase_if(orphans_, [&](const auto& o) { return o.collection == collection && o.chunk == chunk && o.shard == shard; });
}

// The unsharded collections of a database get new UUIDs on another shard. One at a time here; the server does all of
// a database's one after the other.
bool Source::begin_move_primary() {
  auto db = std::string(random_.one_in(2) ? "d0" : "d1");
  auto to = static_cast<ShardIndex>(random_.below(static_cast<int>(shards_.size())));
  auto from = primaries_.at(db);
  bool busy = std::any_of(copyings_.begin(), copyings_.end(), [](const auto& c) { return c.kind == Copying::move_primary; });
  std::vector<SourceCollection*> list;
  for (auto& [id, c] : collections_)
    if (c.alive && c.db == db && !c.sharded()) list.push_back(&c);
  if (to == from || busy || list.empty() || !std::all_of(list.begin(), list.end(), [&](const auto* c) { return quiet(*c); })) return false;
  for (auto* c : list) {
    Copying copying;
    copying.collection = c->id;
    copying.uuid = new_uuid();
    copying.to = to;
    copying.old = c->incarnations;
    c->writes_blocked = c->ddl_blocked = true;
    Builder o;
    o.string("create", c->name);
    if (c->capped) o.boolean("capped", true).int32("size", 4096).int32("max", 6);
    auto after = command(to, c->ddl_tick, *c, copying.uuid, o.finish());
    for (const auto& [name, index] : c->indexes) log_index(*c, to, copying.uuid, c->name, index.spec, false, after, nullptr);
    if (c->capped)
      for (const auto& key : c->order) migrated(to, after, *c, copying.uuid, c->name, 'i', c->docs.at(key).value, true);
    else
      for (const auto& [key, doc] : c->docs) migrated(to, after, *c, copying.uuid, c->name, 'i', doc.value, true);
    copyings_.push_back(std::move(copying));
  }
  return true;
}

void Source::end_move_primary(Copying& copying) {
  auto& c = collections_.at(copying.collection);
  auto from = copying.old.begin()->first;
  if (copying.phase == 0) {  // all of the database at once: the commit
    auto to = copying.to;
    pass({to, from}, std::max(shards_[from].clock, shards_[to].clock));
    primaries_[c.db] = to;
    for (auto& other : copyings_) {
      if (other.kind != Copying::move_primary) continue;
      auto& moved = collections_.at(other.collection);
      moved.writes_blocked = false;
      moved.incarnations = {{to, other.uuid}};
      for (auto& [key, doc] : moved.docs) doc.shard = to;
      for (auto& [name, index] : moved.indexes) index.on = {to};
      other.phase = 1;
    }
    return;
  }
  auto tick = command(from, c.ddl_tick, c, copying.old.at(from), Builder().string("drop", c.name).finish());
  pass({copying.to}, tick);
  c.ddl_tick = tick;
  c.ddl_blocked = false;
  copying.phase = 2;
}

std::string Source::resharding_ns(const Copying& copying) const {
  const auto& c = collections_.at(copying.collection);
  return c.db + ".system.resharding." + copying.old.begin()->second.to_string();
}

bool Source::begin_resharding() {
  auto* c = pick([&](const auto& x) { return x.sharded() && quiet(x) && std::none_of(x.indexes.begin(), x.indexes.end(), [](const auto& i) { return i.second.spec.unique; }); });
  if (!c) return false;
  Copying copying;
  copying.kind = Copying::resharding;
  copying.collection = c->id;
  copying.uuid = new_uuid();
  copying.shard_key = c->shard_key == "k" ? "_id" : "k";
  for (int n = 0; n < kChunks; ++n) copying.owners.push_back(static_cast<ShardIndex>(random_.below(static_cast<int>(shards_.size()))));
  copying.old = c->incarnations;
  c->ddl_blocked = true;
  auto name = resharding_ns(copying).substr(c->db.size() + 1);
  Index for_key{copying.shard_key + "_1", {copying.shard_key}, false};
  copying.brings_index = copying.shard_key == "k" && !c->indexes.contains(for_key.name);
  for (auto shard : std::set<ShardIndex>(copying.owners.begin(), copying.owners.end())) {
    auto after = command(shard, c->ddl_tick, *c, copying.uuid, Builder().string("create", name).finish());
    for (const auto& [index_name, index] : c->indexes) log_index(*c, shard, copying.uuid, name, index.spec, false, after, nullptr);
    if (copying.brings_index) log_index(*c, shard, copying.uuid, name, for_key, false, after, nullptr);
    for (const auto& [key, doc] : c->docs)
      if (copying.owners[static_cast<std::size_t>(chunk_of(copying.shard_key, doc.value))] == shard) migrated(shard, after, *c, copying.uuid, name, 'i', doc.value, false);
  }
  copyings_.push_back(std::move(copying));
  return true;
}

// On every new owner a rename over the old collection, on the others a drop of it: in any order.
void Source::end_resharding(Copying& copying) {
  auto& c = collections_.at(copying.collection);
  if (!c.locked.empty()) return;
  auto temporary = resharding_ns(copying);
  std::set<ShardIndex> recipients(copying.owners.begin(), copying.owners.end()), all = recipients;
  for (const auto& [shard, uuid] : copying.old) all.insert(shard);
  Tick after = 0, latest = 0;
  std::optional<std::pair<Tick, ShardIndex>> first;
  for (auto shard : all) after = std::max(after, shards_[shard].clock);
  auto old = c.incarnations;
  for (auto shard : all) {
    Tick tick = 0;
    if (recipients.contains(shard)) {
      if (auto any = c.docs.begin(); any != c.docs.end()) migrated(shard, after, c, copying.uuid, temporary.substr(c.db.size() + 1), 'u', any->second.value, false);
      Builder o;
      o.string("renameCollection", temporary).string("to", c.ns()).boolean("stayTemp", false);
      if (old.contains(shard)) o.uuid("dropTarget", old.at(shard).view());
      tick = command(shard, after, c, copying.uuid, o.finish());
      if (!first || std::pair(tick, shard) < *first) first = {tick, shard};
    } else {
      tick = command(shard, after, c, old.at(shard), Builder().string("drop", c.name).finish());
    }
    latest = std::max(latest, tick);
  }
  pass(all, latest);
  c.incarnations.clear();
  for (auto shard : recipients) c.incarnations[shard] = copying.uuid;
  c.shard_key = copying.shard_key;
  c.owners = copying.owners;
  for (auto& [key, doc] : c.docs) doc.shard = shard_of(c, doc.value);
  if (copying.brings_index) {
    Effect e;
    e.kind = Effect::create_index;
    e.collection = c.id;
    e.index = {copying.shard_key + "_1", {copying.shard_key}, false};
    c.indexes[e.index.name].spec = e.index;
    reference_.add({to_timestamp(first->first), first->second, {e}});
  }
  for (auto& [name, index] : c.indexes) index.on = recipients;
  std::erase_if(orphans_, [&](const auto& o) { return o.collection == c.id; });
  c.ddl_tick = latest;
  c.ddl_blocked = false;
  copying.phase = 2;
}

bool Source::step_copying() {
  if (copyings_.empty()) return false;
  auto& copying = random_.pick(copyings_);
  if (copying.kind == Copying::move_primary) end_move_primary(copying);
  else end_resharding(copying);
  std::erase_if(copyings_, [](const auto& c) { return c.phase == 2; });
  return true;
}

}  // namespace mongotwin::sim
