// SPDX-License-Identifier: Apache-2.0
// The source's log, single writes and transactions.
#include "source.h"

#include <fmt/format.h>

#include <algorithm>

namespace mongotwin::sim {

using bson::Builder;
using bson::Document;

Timestamp to_timestamp(Tick tick) { return {static_cast<std::uint32_t>(1000 + tick / 8), static_cast<std::uint32_t>(1 + tick % 8)}; }

namespace {

Tick to_tick(Timestamp ts) { return (static_cast<Tick>(ts.t) - 1000) * 8 + static_cast<Tick>(ts.i) - 1; }

// What is in the collection under `key` as the operations before it leave it; null: no say.
const WriteOp* last_on(const std::vector<WriteOp>& ops, int collection, const std::string& key) {
  const WriteOp* last = nullptr;
  for (const auto& w : ops)
    if (w.collection == collection && w.key == key && (w.after || !last || w.shard == last->shard)) last = &w;
  return last;
}

std::string index_value(const Index& index, const Value& doc) {
  Builder b;
  for (const auto& path : index.keys) {
    const auto* v = doc.at_path(path);
    append(b, path, v ? *v : Value());
  }
  auto bytes = b.finish();
  return std::string(bytes.view().bytes());
}

}  // namespace

Source::Source(Random& random, int shards, Trace trace) : random_(random), trace_(std::move(trace)), shards_(static_cast<std::size_t>(shards)) {
  for (const char* db : {"d0", "d1"}) primaries_[db] = static_cast<ShardIndex>(random_.below(shards));
  for (auto& shard : shards_) shard.clock = 1 + random_.below(20);
  for (std::size_t s = 0; s < shards_.size(); ++s) noop();
  for (ShardIndex s = 0; s < shards_.size(); ++s)
    if (shards_[s].oplog.empty()) (void)log(s, 0, Builder().string("op", "n").string("ns", "").open_document("o").string("msg", "initiating set").close().finish());
}

Tick Source::log(ShardIndex s, Tick after, const Document& fields) {
  auto& shard = shards_[s];
  shard.clock = std::max(shard.clock, after) + 1 + (random_.one_in(3) ? random_.below(4) : 0);
  auto ts = to_timestamp(shard.clock);
  auto entry = Builder().fields_of(fields).timestamp("ts", ts).int64("t", 1).int64("v", 2).date_ms("wall", shard.clock).finish();
  if (trace_) trace_(fmt::format("shard {} {}", s, bson::to_json(entry, 900)));
  shard.oplog.emplace_back(ts, std::move(entry));
  return shard.clock;
}

void Source::noop() {
  (void)log(static_cast<ShardIndex>(random_.below(static_cast<int>(shards_.size()))), 0, Builder().string("op", "n").string("ns", "").open_document("o").string("msg", "periodic noop").close().finish());
}

void Source::nudge(ShardIndex shard, Timestamp until) {
  (void)log(shard, to_tick(until), Builder().string("op", "n").string("ns", "").open_document("o").string("mongotwin", "nudge").close().finish());
}

void Source::act() {
  int what = random_.below(1000);
  bool done = false;
  if (what < 560) done = chance_write();
  else if (what < 640) done = chance_transaction();
  else if (what < 800) done = step_transaction();
  else if (what < 815) done = create();
  else if (what < 823) done = drop();
  else if (what < 833) done = rename();
  else if (what < 848) done = create_index();
  else if (what < 856) done = drop_index();
  else if (what < 860) done = shard_it();
  else if (what < 864) done = convert_to_capped();
  else if (what < 865) done = drop_database();
  else if (what < 895) done = begin_migration();
  else if (what < 925) done = end_migration();
  else if (what < 940) done = delete_orphans();
  else if (what < 945) done = begin_move_primary();
  else if (what < 952) done = begin_resharding();
  else if (what < 980) done = step_copying();
  if (!done) {
    if (collections_.empty() || random_.one_in(30)) done = create();
    if (!done) noop();
  }
}

bool Source::settle() {
  if (!transactions_.empty()) return (void)step_transaction(), false;
  if (!migrations_.empty()) return (void)end_migration(), false;
  if (!copyings_.empty()) return (void)step_copying(), false;
  if (!orphans_.empty()) return (void)delete_orphans(), false;
  return true;
}

std::vector<Timestamp> Source::newest() const {
  std::vector<Timestamp> out;
  for (const auto& shard : shards_) out.push_back(shard.oplog.back().first);
  return out;
}

std::vector<Timestamp> Source::oldest_open() const {
  auto out = newest();
  for (const auto& t : transactions_)
    for (const auto& [shard, part] : t.parts)
      if (part.logged > 0 && !part.ended) out[shard] = std::min(out[shard], part.first);
  return out;
}

void Source::all_to_majority() {
  for (auto& shard : shards_) shard.majority = shard.oplog.size();
}

State Source::state() const {
  State out;
  for (const auto& [id, c] : collections_) {
    if (!c.alive) continue;
    auto& state = out[c.ns()];
    state.ns = c.ns();
    state.capped = c.capped;
    for (const auto& [key, doc] : c.docs) state.docs[key] = {doc.value, 0};
    std::uint64_t n = 0;
    for (const auto& key : c.order) state.docs[key].order = ++n;
    for (const auto& [name, index] : c.indexes) state.indexes[name] = index.spec;
  }
  return out;
}

SourceCollection* Source::pick(const std::function<bool(const SourceCollection&)>& suits) {
  std::vector<SourceCollection*> list;
  for (auto& [id, c] : collections_)
    if (c.alive && suits(c)) list.push_back(&c);
  return list.empty() ? nullptr : random_.pick(list);
}

int Source::chunk_of(const std::string& shard_key, const Value& doc) const {
  if (shard_key == "k") return static_cast<int>(doc.find("k")->i % kChunks);
  int n = 0;
  for (char ch : id_key(*doc.find("_id"))) n = n * 31 + ch;
  return std::abs(n) % kChunks;
}

ShardIndex Source::shard_of(const SourceCollection& c, const Value& doc) const {
  return c.sharded() ? c.owners[static_cast<std::size_t>(chunk_of(c.shard_key, doc))] : primaries_.at(c.db);
}

Document Source::document_key(const SourceCollection& c, const Value& doc) const {
  Builder b;
  if (c.shard_key == "k") append(b, "k", *doc.find("k"));
  append(b, "_id", *doc.find("_id"));
  return b.finish();
}

Value Source::new_doc(const SourceCollection& c, const Value& id) {
  auto doc = empty_object();
  doc.set("_id", id);
  if (random_.one_in(2)) doc.set("a", random_value(random_, 0));
  doc.set("k", integer(random_.below(2 * kChunks)));
  doc.set("u", integer(random_.below(static_cast<int>(c.docs.size()) + 4)));
  if (c.capped) return doc;
  for (int n = random_.below(3); n > 0; --n) mutate(random_, doc, {"_id", "k", "u"});
  return doc;
}

bool Source::unique_ok(const SourceCollection& c, const std::string& key, const Value& doc, const std::vector<WriteOp>& before) const {
  for (const auto& [name, index] : c.indexes) {
    if (!index.spec.unique) continue;
    auto mine = index_value(index.spec, doc);
    for (const auto& [other, there] : c.docs) {
      if (other == key) continue;
      const auto* w = last_on(before, c.id, other);
      if (w ? w->after && index_value(index.spec, *w->after) == mine : index_value(index.spec, there.value) == mine) return false;
    }
    for (const auto& w : before)
      if (w.collection == c.id && w.key != key && !c.docs.contains(w.key) && last_on(before, c.id, w.key) == &w && w.after && index_value(index.spec, *w.after) == mine) return false;
    for (const auto& t : transactions_)
      for (const auto& [shard, part] : t.parts)
        for (const auto& piece : part.pieces)
          for (const auto& w : piece)
            if (!part.ended && w.collection == c.id && w.key != key && w.after && index_value(index.spec, *w.after) == mine) return false;
  }
  return true;
}

std::optional<WriteOp> Source::make_insert(SourceCollection& c, const std::vector<WriteOp>& before, const std::string& same_as) {
  auto id = random_.one_in(5) ? text(std::string(1, static_cast<char>('a' + random_.below(5)))) : random_.one_in(12) ? real(random_.below(20)) : integer(random_.below(20));
  // An _id that comes again in a capped collection may lose its place in a restart: a limitation.
  if (c.capped) id = integer(1000 + next_session_++);
  auto key = id_key(id);
  if (!same_as.empty() && same_as != key) return {};
  const auto* w = last_on(before, c.id, key);
  if (w ? w->after.has_value() : c.docs.contains(key) || c.locked.contains(key)) return {};
  auto doc = new_doc(c, id);
  if (!unique_ok(c, key, doc, before)) return {};
  auto shard = shard_of(c, doc);
  if (w && w->shard != shard) return {};
  return WriteOp{shard, c.id, 'i', encode(doc), document_key(c, doc), key, doc};
}

std::vector<WriteOp> Source::make_update(SourceCollection& c, const std::string& key, const SourceDoc& doc, const std::vector<WriteOp>& before) {
  auto after = doc.value;
  int what = random_.below(10);
  bool replace = what == 0 && !c.capped;
  if (replace) {
    after = new_doc(c, *doc.value.find("_id"));
    *after.find("k") = *doc.value.find("k");
  } else if (what == 1 && !c.capped) {
    *after.find("k") = integer(random_.below(2 * kChunks));
  } else if (what < 4 || c.capped) {
    *after.find("u") = integer(random_.below(static_cast<int>(c.docs.size()) + 4));
  } else {
    for (int n = 1 + random_.below(3); n > 0; --n) mutate(random_, after, {"_id", "k", "u"});
  }
  auto change = diff(doc.value, after);
  if (!change || !unique_ok(c, key, after, before)) return {};
  auto shard = shard_of(c, after);
  if (shard != doc.shard) {
    // A change of the shard key moves the document, which is a transaction.
    return {{doc.shard, c.id, 'd', document_key(c, doc.value), {}, key, {}}, {shard, c.id, 'i', encode(after), document_key(c, after), key, after}};
  }
  Document o = *change;
  if (replace) {
    auto logged = after;
    if (logged.fields.size() > 1 && random_.one_in(6)) std::swap(logged.fields[0], logged.fields[1]);  // stored with _id first all the same
    o = encode(logged);
  }
  return {{shard, c.id, 'u', o, document_key(c, doc.value), key, after}};
}

std::vector<WriteOp> Source::make_write(SourceCollection& c, const std::vector<WriteOp>& before) {
  int what = random_.below(10);
  if (c.docs.empty() || what < (c.docs.size() > 10 ? 2 : 4) || (c.capped && what < 5)) {
    auto w = make_insert(c, before, {});
    if (!w) return {};
    return {*w};
  }
  std::vector<std::string> keys;
  for (const auto& [key, doc] : c.docs)
    if (!c.locked.contains(key)) keys.push_back(key);
  if (keys.empty()) return {};
  const auto& key = random_.pick(keys);
  auto now = c.docs.at(key);
  if (const auto* w = last_on(before, c.id, key)) {
    if (!w->after) {
      auto again = make_insert(c, before, key);
      if (!again) return {};
      return {*again};
    }
    now = {*w->after, w->shard};
  }
  if (what < 8) return make_update(c, key, now, before);
  return {{now.shard, c.id, 'd', document_key(c, now.value), {}, key, {}}};
}

Document Source::body(const WriteOp& w) const {
  const auto& c = collections_.at(w.collection);
  Builder b;
  b.string("op", std::string(1, w.op)).string("ns", c.ns()).uuid("ui", c.incarnations.at(w.shard).view()).document("o", w.o);
  if (w.op != 'd') b.document("o2", w.o2);
  return b.finish();
}

void Source::take_effect(const WriteOp& w) {
  auto& c = collections_.at(w.collection);
  auto it = c.docs.find(w.key);
  if (w.after) {
    if (c.capped && it == c.docs.end()) c.order.push_back(w.key);
    c.docs[w.key] = {*w.after, w.shard};
  } else if (it != c.docs.end() && it->second.shard == w.shard) {
    c.docs.erase(it);
    std::erase(c.order, w.key);
  }
}

Effect Source::effect_of(const WriteOp& w) const {
  Effect e;
  e.kind = w.after ? Effect::put : Effect::remove;
  e.collection = w.collection;
  e.key = w.key;
  if (w.after) e.doc = *w.after;
  return e;
}

Tick Source::after_of(const WriteOp& w) const {
  const auto& c = collections_.at(w.collection);
  auto it = c.touched.find(w.key);
  return std::max(c.ddl_tick, it == c.touched.end() ? 0 : it->second);
}

void Source::write_now(SourceCollection& c, const WriteOp& w) {
  auto tick = log(w.shard, after_of(w), body(w));
  c.touched[w.key] = tick;
  take_effect(w);
  reference_.add({to_timestamp(tick), w.shard, {effect_of(w)}});
}

void Source::evict(SourceCollection& c) {
  if (c.order.size() <= 6) return;
  auto key = c.order.front();
  auto doc = c.docs.at(key);
  write_now(c, {doc.shard, c.id, 'd', document_key(c, doc.value), {}, key, {}});
}

// Two documents exchange what a unique index keeps apart, by way of a third value.
bool Source::swap_unique(SourceCollection& c) {
  std::vector<std::string> keys;
  for (const auto& [key, doc] : c.docs)
    if (!c.locked.contains(key)) keys.push_back(key);
  if (keys.size() < 2) return false;
  auto a = random_.pick(keys), b = random_.pick(keys);
  auto mine = *c.docs.at(a).value.find("u"), its = *c.docs.at(b).value.find("u");
  if (mine == its) return false;
  for (const auto& [key, u] : {std::pair(a, integer(100 + random_.below(100))), std::pair(b, mine), std::pair(a, its)}) {
    auto doc = c.docs.at(key);
    auto after = doc.value;
    *after.find("u") = u;
    auto change = diff(doc.value, after);
    if (!change || !unique_ok(c, key, after, {})) return true;
    write_now(c, {doc.shard, c.id, 'u', *change, document_key(c, doc.value), key, after});
  }
  return true;
}

bool Source::chance_write() {
  auto* c = pick([](const auto& x) { return !x.writes_blocked; });
  if (!c) return false;
  bool unique = std::any_of(c->indexes.begin(), c->indexes.end(), [](const auto& i) { return i.second.spec.unique; });
  if (unique && random_.one_in(6) && swap_unique(*c)) return true;
  auto ops = make_write(*c, {});
  if (ops.empty()) return false;
  if (ops.size() > 1) {
    begin_transaction(std::move(ops), true);
    return true;
  }
  write_now(*c, ops.front());
  if (c->capped && ops.front().op == 'i') evict(*c);
  return true;
}

bool Source::chance_transaction() {
  if (transactions_.size() >= 4) return false;
  std::vector<WriteOp> ops;
  for (int n = 1 + random_.below(6); n > 0; --n) {
    auto* c = pick([](const auto& x) { return !x.writes_blocked && !x.capped; });
    if (!c) break;
    for (auto& w : make_write(*c, ops)) {
      if (!ops.empty() && w.op == 'd' && !w.after && last_on(ops, w.collection, w.key) && last_on(ops, w.collection, w.key)->shard != w.shard) continue;
      ops.push_back(std::move(w));
    }
  }
  if (ops.empty()) return false;
  begin_transaction(std::move(ops), true);
  return true;
}

void Source::begin_transaction(std::vector<WriteOp> ops, bool may_abort) {
  Transaction t;
  t.session = std::string(16, static_cast<char>(next_session_ % 250));
  t.session[0] = static_cast<char>(next_session_++ / 250);
  t.number = 1 + random_.below(3);
  std::map<ShardIndex, std::vector<WriteOp>> by_shard;
  for (auto& w : ops) {
    ++collections_.at(w.collection).locked[w.key];
    by_shard[w.shard].push_back(std::move(w));
  }
  t.distributed = by_shard.size() > 1 || random_.one_in(8);
  t.abort = t.distributed && may_abort && random_.one_in(5);
  for (auto& [shard, list] : by_shard) {
    auto& pieces = t.parts[shard].pieces;
    for (auto& w : list) {
      if (pieces.empty() || random_.one_in(4)) pieces.emplace_back();
      pieces.back().push_back(std::move(w));
    }
  }
  transactions_.push_back(std::move(t));
}

void Source::log_piece(Transaction& t, ShardIndex shard, Transaction::Part& part) {
  bool last = part.logged + 1 == part.pieces.size();
  Tick after = 0;
  Builder b;
  b.string("op", "c").string("ns", "admin.$cmd").open_document("o").open_array("applyOps");
  int n = 0;
  for (const auto& w : part.pieces[part.logged]) {
    after = std::max(after, after_of(w));
    b.document(std::to_string(n++), body(w));
  }
  b.close();
  if (!last) b.boolean("partialTxn", true);
  else if (t.distributed) b.boolean("prepare", true);
  b.close().open_document("lsid").uuid("id", t.session).close().int64("txnNumber", t.number);
  b.open_document("prevOpTime").timestamp("ts", part.last).int64("t", part.logged ? 1 : -1).close();
  part.last = to_timestamp(log(shard, after, b.finish()));
  if (part.logged++ == 0) part.first = part.last;
  if (last && !t.distributed) end_part(t, shard, part);
}

void Source::end_part(Transaction& t, ShardIndex shard, Transaction::Part& part) {
  auto ts = part.last;
  if (t.distributed) {
    Builder b;
    b.string("op", "c").string("ns", "admin.$cmd").open_document("o");
    if (t.abort) b.int32("abortTransaction", 1);
    else b.int32("commitTransaction", 1).timestamp("commitTimestamp", to_timestamp(t.commit_at));
    b.close().open_document("lsid").uuid("id", t.session).close().int64("txnNumber", t.number);
    b.open_document("prevOpTime").timestamp("ts", part.last).int64("t", 1).close();
    ts = to_timestamp(log(shard, t.commit_at, b.finish()));
  }
  part.ended = true;
  unlock(part);
  if (t.abort) return;
  if (!t.event) {
    // Whole where it becomes visible first; a document that moves is put, not removed.
    std::map<std::pair<int, std::string>, Effect> net;  // per shard in order, then over the shards
    for (const auto& [s, p] : t.parts) {
      std::map<std::pair<int, std::string>, Effect> mine;
      for (const auto& piece : p.pieces)
        for (const auto& w : piece) mine[{w.collection, w.key}] = effect_of(w);
      for (auto& [key, effect] : mine)
        if (effect.kind == Effect::put || !net.contains(key)) net[key] = effect;
    }
    Event event{ts, shard, {}};
    for (auto& [key, effect] : net) event.effects.push_back(std::move(effect));
    t.event = reference_.add(std::move(event));
  } else if (std::tie(ts, shard) < std::tie(t.event->ts, t.event->shard)) {
    t.event->ts = ts;
    t.event->shard = shard;
  }
  std::map<std::pair<int, std::string>, const WriteOp*> last;
  for (const auto& piece : part.pieces)
    for (const auto& w : piece) last[{w.collection, w.key}] = &w;
  for (const auto& [key, w] : last) {
    take_effect(*w);
    auto& touched = collections_.at(w->collection).touched[w->key];
    touched = std::max(touched, to_tick(ts));
  }
}

void Source::unlock(const Transaction::Part& part) {
  for (const auto& piece : part.pieces)
    for (const auto& w : piece) {
      auto& locked = collections_.at(w.collection).locked;
      if (--locked.at(w.key) == 0) locked.erase(w.key);
    }
}

bool Source::step_transaction() {
  if (transactions_.empty()) return false;
  auto at = random_.below(static_cast<int>(transactions_.size()));
  auto& t = transactions_[static_cast<std::size_t>(at)];
  std::vector<ShardIndex> unlogged, open;
  for (const auto& [shard, part] : t.parts) {
    if (part.logged < part.pieces.size()) unlogged.push_back(shard);
    else if (!part.ended) open.push_back(shard);
  }
  if (!unlogged.empty()) {
    auto shard = random_.pick(unlogged);
    log_piece(t, shard, t.parts.at(shard));
  } else {
    if (t.commit_at == 0)
      for (const auto& [shard, part] : t.parts) t.commit_at = std::max(t.commit_at, to_tick(part.last));
    auto shard = random_.pick(open);
    end_part(t, shard, t.parts.at(shard));
  }
  if (std::all_of(t.parts.begin(), t.parts.end(), [](const auto& p) { return p.second.ended; })) transactions_.erase(transactions_.begin() + at);
  return true;
}

}  // namespace mongotwin::sim
