// SPDX-License-Identifier: Apache-2.0
#include "oplog/catalog.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "base/error.h"
#include "oplog/delta.h"

namespace mongotwin::oplog {
namespace {

bool is_resharding_temporary(std::string_view collection) { return collection.starts_with("system.resharding."); }

bool is_convert_to_capped_temporary(std::string_view collection) {
  return collection.starts_with("tmp") && collection.find(".convertToCapped.") != std::string_view::npos;
}

bson::Document without_first(bson::View v, std::initializer_list<std::string_view> also = {}) {
  bson::Builder b;
  bool first = true;
  for (const auto& e : v)
    if (!std::exchange(first, false) && std::find(also.begin(), also.end(), e.key()) == also.end()) b.element(e);
  return b.finish();
}

bool is_simple(bson::View options) {
  auto collation = options.document("collation");
  return !collation || collation->string("locale").value_or("simple") == "simple";
}

bool is_bucket_view(bson::View definition) {
  auto pipeline = definition.document("pipeline");
  if (!pipeline || pipeline->empty()) return false;
  auto stage = pipeline->begin()->document();
  return stage && !stage->empty() && stage->begin()->key() == "$_internalUnpackBucket";
}

}  // namespace

bson::Document view_on_target(const NamespaceFilter& filter, const std::string& ns, const bson::Document& definition) {
  if (!filter.renames()) return definition;
  auto database = ns.substr(0, ns.find('.') + 1);
  auto there = filter.target(ns), on = filter.target(database + std::string(definition.view().string("viewOn").value_or("")));
  auto dot = there.find('.') + 1;
  if (there.compare(0, dot, on, 0, on.find('.') + 1) != 0)
    throw Error(Remedy::fix_config, fmt::format("the view {} would be {} on the target, and what it is on {}: in another database", ns, there, on), "let `rename` move both, or exclude the view");
  bson::Builder b;
  for (const auto& e : definition.view())
    if (e.key() == "viewOn") b.string("viewOn", on.substr(dot));
    else b.element(e);
  return b.finish();
}

const char* to_string(DdlKind kind) {
  static constexpr const char* kNames[] = {"create", "drop", "rename", "createIndexes", "dropIndexes", "collMod", "create view", "drop view", "modify view", "shardCollection", "bring in"};
  return kNames[static_cast<int>(kind)];
}

const char* to_string(OpKind kind) {
  static constexpr const char* kNames[] = {"insert", "update", "delete", "ddl"};
  return kNames[static_cast<int>(kind)];
}

bool Catalog::is_ddl(const Entry& entry) {
  if (entry.op == EntryOp::command) {
    auto name = entry.command();
    return name != "applyOps" && name != "commitTransaction" && name != "abortTransaction";
  }
  if (entry.op == EntryOp::noop) return entry.o2 && (*entry.o2)["shardCollection"];
  return entry.collection() == "system.views";
}

bool Catalog::takes_migrated(std::string_view collection) const { return !sharded_ || is_convert_to_capped_temporary(collection); }

Catalog::Logical& Catalog::add_logical(const std::string& ns, bool capped, bool simple_collation) {
  auto id = next_id_++;
  auto& logical = logicals_[id];
  auto dot = ns.find('.');
  auto collection = ns.substr(dot + 1);
  logical.ns = ns;
  logical.internal = is_resharding_temporary(collection);
  bool replicated = !logical.internal && collection != "system.views" && collection != "system.profile" && filter_.includes(ns);
  logical.info = std::make_shared<const Collection>(Collection{id, filter_.target(ns), replicated, capped, simple_collation, takes_migrated(collection)});
  by_ns_[ns] = id;
  return logical;
}

void Catalog::join(Logical& logical, IncarnationKey incarnation) {
  logical.incarnations.insert(incarnation);
  by_uuid_[incarnation] = logical.info->id;
  changed_ = true;
}

void Catalog::add(const Listed& listed) {
  Logical* logical = nullptr;
  for (auto& [key, id] : by_uuid_)
    if (key.second == listed.uuid) logical = &logicals_.at(id);
  if (!logical) {
    if (listed.real) {
      logical = &add_logical(listed.ns, listed.options["capped"].truthy(), is_simple(listed.options));
    } else {
      auto keep = by_ns_.find(listed.ns);
      auto owner = keep == by_ns_.end() ? 0 : keep->second;
      logical = &add_logical(listed.ns, false, true);
      auto info = *logical->info;
      info.replicated = false;
      logical->info = std::make_shared<const Collection>(info);
      logical->left_over = true;
      if (owner) by_ns_[listed.ns] = owner;
      else by_ns_.erase(listed.ns);
    }
  }
  join(*logical, {listed.shard, listed.uuid});
  for (const auto& name : listed.indexes) logical->indexes[name].insert(listed.shard);
  for (const auto& spec : listed.specs)
    if (logical->internal) logical->specs[std::string(spec.view().string("name").value_or(""))] = spec;
}

void Catalog::add_view(const std::string& ns, bson::Document definition) {
  views_[ns] = std::move(definition);
  changed_ = true;
}

std::vector<Catalog::Capped> Catalog::capped() const {
  std::vector<Capped> out;
  for (const auto& [key, id] : by_uuid_)
    if (const auto& info = *logicals_.at(id).info; info.capped && info.replicated) out.push_back({key.first, key.second, info.ns});
  return out;
}

void Catalog::set_copied_up_to(const Uuid& uuid, Timestamp ts) {
  for (const auto& [key, id] : by_uuid_) {
    if (key.second != uuid) continue;
    auto info = *logicals_.at(id).info;
    info.copied_up_to = ts;
    logicals_.at(id).info = std::make_shared<const Collection>(std::move(info));
    changed_ = true;
  }
}

CollectionRef Catalog::find(ShardIndex shard, const Uuid& uuid) const {
  auto it = by_uuid_.find({shard, uuid});
  return it == by_uuid_.end() ? nullptr : logicals_.at(it->second).info;
}

CollectionRef Catalog::written(ShardIndex shard, const Entry& entry) {
  auto* logical = logical_of(shard, entry);
  if (logical && logical->left_over && !entry.from_migrate) logical = &become_real(*logical);
  return logical ? logical->info : nullptr;
}

Catalog::Logical* Catalog::left_over_of(const std::string& ns) {
  for (auto& [id, logical] : logicals_)
    if (logical.left_over && logical.ns == ns) return &logical;
  return nullptr;
}

Catalog::Logical& Catalog::become_real(Logical& left_over) {
  const auto ns = left_over.ns;
  auto named = by_ns_.find(ns);
  if (named == by_ns_.end())
    throw Error(Remedy::resync, fmt::format("{} is written to on a shard where it was not known to the cluster when the copy began, and what was known of that name is gone", ns), "start again with a new copy");
  auto& real = logicals_.at(named->second);
  auto id = left_over.info->id;
  for (const auto& [name, shards] : left_over.indexes) real.indexes[name].insert(shards.begin(), shards.end());
  for (const auto& incarnation : left_over.incarnations) join(real, incarnation);
  logicals_.erase(id);
  return real;
}

// The shards end a resharding each for itself: one that keeps no part of the collection may drop its old incarnation
// before another renames the temporary over it. The temporary has the old UUID in its name.
bool Catalog::is_being_resharded(const Logical& logical, const Uuid& uuid) const {
  auto temporary = by_ns_.find(logical.ns.substr(0, logical.ns.find('.')) + ".system.resharding." + uuid.to_string());
  return temporary != by_ns_.end() && temporary->second != logical.info->id;
}

Catalog::Logical* Catalog::logical_of(ShardIndex shard, const Entry& entry) {
  if (!entry.ui) return nullptr;
  auto it = by_uuid_.find({shard, *entry.ui});
  return it == by_uuid_.end() ? nullptr : &logicals_.at(it->second);
}

std::optional<std::string> Catalog::remove_incarnation(IncarnationKey incarnation) {
  auto it = by_uuid_.find(incarnation);
  if (it == by_uuid_.end()) return {};
  auto id = it->second;
  by_uuid_.erase(it);
  changed_ = true;
  auto& logical = logicals_.at(id);
  logical.incarnations.erase(incarnation);
  bool none_there = std::none_of(logical.incarnations.begin(), logical.incarnations.end(), [&](const auto& other) { return other.first == incarnation.first; });
  for (auto& [name, shards] : logical.indexes)
    if (none_there) shards.erase(incarnation.first);
  if (!logical.incarnations.empty() || is_being_resharded(logical, incarnation.second)) return {};
  std::optional<std::string> gone;
  if (!logical.replaced && logical.info->replicated) gone = logical.info->ns;
  if (auto named = by_ns_.find(logical.ns); named != by_ns_.end() && named->second == id) by_ns_.erase(named);
  logicals_.erase(id);
  return gone;
}

void Catalog::set_name(Logical& logical, const std::string& ns) {
  auto id = logical.info->id;
  if (auto named = by_ns_.find(logical.ns); named != by_ns_.end() && named->second == id) by_ns_.erase(named);
  auto info = *logical.info;
  logical.ns = ns;
  info.ns = filter_.target(ns);
  info.replicated = filter_.includes(ns);
  auto collection = std::string_view(ns).substr(ns.find('.') + 1);
  info.take_migrated = takes_migrated(collection);
  logical.internal = is_resharding_temporary(collection);
  logical.info = std::make_shared<const Collection>(std::move(info));
  by_ns_[ns] = id;
  changed_ = true;
}

std::vector<Ddl> Catalog::apply(ShardIndex shard, const Entry& entry) {
  Ddls out;
  if (entry.op == EntryOp::noop) {
    note(entry, out);
    return out;
  }
  if (entry.op != EntryOp::command) {
    if (!entry.from_migrate) view_write(entry, out);
    return out;
  }
  auto name = entry.command();
  if (name == "create") create(shard, entry, out);
  else if (name == "drop") drop(shard, entry, out);
  else if (name == "renameCollection") rename(shard, entry, out);
  else if (name == "createIndexes" || name == "commitIndexBuild") create_indexes(shard, entry, out);
  else if (name == "dropIndexes" || name == "deleteIndexes" || name == "dropIndex" || name == "deleteIndex") drop_indexes(shard, entry, out);
  else if (name == "collMod") coll_mod(shard, entry, out);
  // dropDatabase follows the drops of all its collections; an index build counts from its commit; what comes after 8.0
  // as …DatabaseMetadata is which shard is a database's primary.
  else if (name == "dropDatabase" || name == "startIndexBuild" || name == "abortIndexBuild" || name == "dbCheck" || name == "createDatabaseMetadata" || name == "dropDatabaseMetadata") return out;
  else if (filter_.includes(std::string(entry.database()) + "." + std::string(entry.o.begin()->string().value_or(""))))
    throw Error(Remedy::pause, fmt::format("the command {} in the oplog (ns {}, ts {}) is not known: {}", name, entry.ns, oplog::to_string(entry.ts), bson::to_json(entry.o)),
                "this version of mongotwin can't follow it; exclude the namespace or start again with a new copy after the command");
  return out;
}

// With renamed namespaces two of the source's could meet in one of the target's.
void Catalog::refuse_taken(const std::string& ns, Timestamp ts) const {
  auto name = filter_.target(ns);
  if (!filter_.renames() || !filter_.includes(ns)) return;
  for (const auto& [id, logical] : logicals_)
    if (logical.info->replicated && !logical.replaced && logical.info->ns == name)
      throw Error(Remedy::pause, fmt::format("{} (ts {}) would be {} on the target, which {} is already", ns, oplog::to_string(ts), name, logical.ns), "change `rename` in the configuration, or exclude one of the two, and start again with a new copy");
}

void Catalog::create(ShardIndex shard, const Entry& entry, Ddls& out) {
  if (!entry.ui) throw Error(Remedy::pause, "a create entry without a UUID: " + bson::to_json(entry.o), "the source is older than MongoDB 4.4");
  auto ns = std::string(entry.database()) + "." + std::string(entry.o.begin()->string().value_or(""));
  IncarnationKey incarnation{shard, *entry.ui};
  if (by_uuid_.contains(incarnation)) return;
  for (auto& [key, id] : by_uuid_)
    if (key.second == *entry.ui) return join(logicals_.at(id), incarnation);
  if (auto named = by_ns_.find(ns); named != by_ns_.end()) {
    // The same name on another shard under another UUID: movePrimary clones the collection there (seen on 6.0).
    auto& logical = logicals_.at(named->second);
    for (const auto& other : logical.incarnations)
      if (other.first == shard)
        throw Error(Remedy::pause, fmt::format("{} was created (ts {}) while a collection of that name is there", ns, oplog::to_string(entry.ts)), "start again with a new copy");
    return join(logical, incarnation);
  }
  refuse_taken(ns, entry.ts);
  auto& logical = add_logical(ns, entry.o["capped"].truthy(), is_simple(entry.o));
  join(logical, incarnation);
  logical.indexes["_id_"].insert(shard);
  if (logical.info->replicated) out.push_back({DdlKind::create, logical.info->ns, {}, false, {}, without_first(entry.o, {"idIndex"})});
}

void Catalog::drop(ShardIndex shard, const Entry& entry, Ddls& out) {
  bool views = entry.o.string("drop") == "system.views";
  auto* logical = logical_of(shard, entry);
  if (!logical) return;
  // A left-over of the same name: a movePrimary to there ends with this drop. A user's drop is sent to every shard, and
  // then the left-over goes as well.
  if (auto* left_over = logical->left_over || logical->incarnations.size() > 1 ? nullptr : left_over_of(logical->ns)) (void)become_real(*left_over);
  bool last = logical->incarnations.size() == 1;
  if (auto gone = remove_incarnation({shard, *entry.ui})) out.push_back({DdlKind::drop, *gone, {}, false, {}, {}});
  if (!views || !last) return;
  auto prefix = std::string(entry.database()) + ".";
  for (auto it = views_.lower_bound(prefix); it != views_.end() && it->first.starts_with(prefix); it = views_.erase(it))
    if (filter_.includes(it->first) && !is_bucket_view(it->second)) out.push_back({DdlKind::drop_view, filter_.target(it->first), {}, false, {}, {}});
}

void Catalog::rename(ShardIndex shard, const Entry& entry, Ddls& out) {
  auto* logical = logical_of(shard, entry);
  if (!logical) return;
  auto to = std::string(entry.o.string("to").value_or(""));
  auto replaced_uuid = Uuid::from(entry.o["dropTarget"]);
  if (logical->left_over) {  // the cluster does not know of it
    if (replaced_uuid) (void)remove_incarnation({shard, *replaced_uuid});
    return;
  }
  auto* replaced = [&]() -> Logical* {
    auto named = by_ns_.find(to);
    return named == by_ns_.end() ? nullptr : &logicals_.at(named->second);
  }();

  if (logical->internal && replaced && replaced != logical) {
    end_resharding(shard, *logical, *entry.ui, *replaced, out);
    if (replaced_uuid) (void)remove_incarnation({shard, *replaced_uuid});
    return;
  }
  if (logical->ns != to) {
    bool was = logical->info->replicated, will = filter_.includes(to);
    auto from = logical->info->ns, to_on_target = filter_.target(to);
    bool drops_target = false;
    if (replaced) {
      drops_target = replaced->info->replicated;
      replaced->replaced = true;
      by_ns_.erase(to);
    }
    if (!was && will && !logical->internal && sharded_)
      throw Error(Remedy::resync, fmt::format("{} was renamed to {} (ts {}), which is to be replicated, but {} was not: its documents are not on the target", logical->ns, to, oplog::to_string(entry.ts), logical->ns),
                  "include both names in the configuration, or start again with a new copy");
    if (will && !replaced) refuse_taken(to, entry.ts);
    set_name(*logical, to);
    if (was && will) out.push_back({DdlKind::rename, from, to_on_target, drops_target, {}, {}});
    else if (was) {
      // Renamed out of the filter: for whoever looks at the included names it is gone.
      out.push_back({DdlKind::drop, from, {}, false, {}, {}});
      if (drops_target) out.push_back({DdlKind::drop, to_on_target, {}, false, {}, {}});
    } else {
      if (drops_target) out.push_back({DdlKind::drop, to_on_target, {}, false, {}, {}});
      if (will) out.push_back({DdlKind::bring_in, to_on_target, to, false, {}, {}, *entry.ui, entry.ts});
    }
  }
  if (replaced_uuid) (void)remove_incarnation({shard, *replaced_uuid});
}

// On this shard the temporary becomes an incarnation. Nothing changes for the target, but that the new shard key may
// have brought an index with it.
void Catalog::end_resharding(ShardIndex shard, Logical& temporary, const Uuid& uuid, Logical& real, Ddls& out) {
  IncarnationKey incarnation{shard, uuid};
  for (const auto& [name, shards] : temporary.indexes) {
    if (!shards.contains(shard)) continue;
    auto spec = temporary.specs.find(name);
    if (!real.indexes.contains(name) && real.info->replicated && spec != temporary.specs.end()) out.push_back({DdlKind::create_index, real.info->ns, {}, false, name, spec->second});
    real.indexes[name].insert(shard);
  }
  join(real, incarnation);
  auto id = temporary.info->id;
  temporary.incarnations.erase(incarnation);
  if (!temporary.incarnations.empty()) return;
  by_ns_.erase(temporary.ns);
  logicals_.erase(id);
}

void Catalog::create_indexes(ShardIndex shard, const Entry& entry, Ddls& out) {
  auto* logical = logical_of(shard, entry);
  if (!logical) return;
  auto add = [&](bson::Document spec) {
    auto name = std::string(spec.view().string("name").value_or(""));
    if (!logical->indexes.contains(name) && logical->info->replicated) out.push_back({DdlKind::create_index, logical->info->ns, {}, false, name, spec});
    logical->indexes[name].insert(shard);
    if (logical->internal) logical->specs[name] = spec;
    changed_ = true;
  };
  if (entry.command() == "createIndexes") {
    auto spec = entry.o.document("spec");  // some servers after 8.0 keep it apart from what they name the index's file
    return add(spec ? bson::Document::copy_of(*spec) : without_first(entry.o));
  }
  if (auto specs = entry.o.document("indexes"))
    for (const auto& e : *specs) add(bson::Document::copy_of(*e.document()));
}

void Catalog::drop_indexes(ShardIndex shard, const Entry& entry, Ddls& out) {
  auto* logical = logical_of(shard, entry);
  if (!logical) return;
  auto name = std::string(entry.o.string("index").value_or(""));
  auto it = logical->indexes.find(name);
  if (it == logical->indexes.end()) return;
  changed_ = true;
  if (entry.from_migrate) {  // only this shard tidies up
    it->second.erase(shard);
    return;
  }
  // The first shard speaks for all: one where the collection is a left-over without chunks is never asked.
  logical->indexes.erase(it);
  if (logical->info->replicated) out.push_back({DdlKind::drop_index, logical->info->ns, {}, false, name, {}});
}

void Catalog::coll_mod(ShardIndex shard, const Entry& entry, Ddls& out) {
  // Each shard logs its own; collMod sets values, so applying it again is harmless.
  auto* logical = logical_of(shard, entry);
  if (logical && logical->info->replicated) out.push_back({DdlKind::coll_mod, logical->info->ns, {}, false, {}, without_first(entry.o)});
}

void Catalog::view_write(const Entry& entry, Ddls& out) {
  auto id_holder = entry.op == EntryOp::update && entry.o2 ? *entry.o2 : entry.o;
  auto ns = std::string(id_holder.string("_id").value_or(""));
  auto known = views_.find(ns);
  changed_ = true;
  if (entry.op == EntryOp::remove) {
    if (known == views_.end()) return;
    bool ours = filter_.includes(ns) && !is_bucket_view(known->second);
    views_.erase(known);
    if (ours) out.push_back({DdlKind::drop_view, filter_.target(ns), {}, false, {}, {}});
    return;
  }
  bson::Document definition;
  if (entry.op == EntryOp::insert || classify(entry.o) == UpdateKind::replacement) definition = bson::Document::copy_of(entry.o);
  else if (known != views_.end()) definition = apply_delta(known->second, entry.o);
  else throw Error(Remedy::pause, fmt::format("view {} was changed (ts {}) but is not known", ns, oplog::to_string(entry.ts)), "start again with a new copy");
  if (known != views_.end() && known->second == definition) return;
  bool fresh = known == views_.end();
  views_[ns] = definition;
  if (filter_.includes(ns) && !is_bucket_view(definition))
    out.push_back({fresh ? DdlKind::create_view : DdlKind::modify_view, filter_.target(ns), {}, false, {}, without_first(view_on_target(filter_, ns, definition).view())});
}

void Catalog::note(const Entry& entry, Ddls& out) {
  auto ns = std::string(entry.o2->string("shardCollection").value_or(""));
  auto named = by_ns_.find(ns);
  if (named == by_ns_.end() || !logicals_.at(named->second).info->replicated) return;
  out.push_back({DdlKind::shard_collection, filter_.target(ns), {}, false, {}, bson::Document::copy_of(*entry.o2)});
}

void Catalog::remove_shard(ShardIndex shard) {
  auto lower = [&](ShardIndex s) { return s > shard ? s - 1 : s; };
  by_uuid_.clear();
  for (auto it = logicals_.begin(); it != logicals_.end();) {
    auto& [id, logical] = *it;
    std::set<IncarnationKey> left;
    for (const auto& [s, uuid] : logical.incarnations)
      if (s != shard) left.insert({lower(s), uuid});
    logical.incarnations = std::move(left);
    for (auto& [name, shards] : logical.indexes) {
      std::set<ShardIndex> others;
      for (auto s : shards)
        if (s != shard) others.insert(lower(s));
      shards = std::move(others);
    }
    for (const auto& incarnation : logical.incarnations) by_uuid_[incarnation] = id;
    if (!logical.incarnations.empty()) {
      ++it;
      continue;
    }
    // A left-over: what the cluster has is on other shards.
    if (auto named = by_ns_.find(logical.ns); named != by_ns_.end() && named->second == id) by_ns_.erase(named);
    it = logicals_.erase(it);
  }
  changed_ = true;
}

std::optional<bson::Document> Catalog::take_changes() {
  if (!std::exchange(changed_, false)) return {};
  return to_document();
}

bson::Document Catalog::to_document() const {
  bson::Builder b;
  b.int64("next_id", static_cast<std::int64_t>(next_id_));
  b.open_array("collections");
  int n = 0;
  for (const auto& [id, l] : logicals_) {
    b.open_document(std::to_string(n++)).int64("id", static_cast<std::int64_t>(id)).string("ns", l.ns);
    b.boolean("replicated", l.info->replicated).boolean("capped", l.info->capped).boolean("simple_collation", l.info->simple_collation);
    b.boolean("take_migrated", l.info->take_migrated).timestamp("copied_up_to", l.info->copied_up_to).boolean("internal", l.internal).boolean("replaced", l.replaced).boolean("left_over", l.left_over);
    auto named = by_ns_.find(l.ns);
    b.boolean("named", named != by_ns_.end() && named->second == id);
    b.open_array("incarnations");
    int k = 0;
    for (const auto& [shard, uuid] : l.incarnations)
      b.open_document(std::to_string(k++)).int32("shard", static_cast<std::int32_t>(shard)).uuid("uuid", uuid.view()).close();
    b.close().open_array("indexes");
    k = 0;
    for (const auto& [name, shards] : l.indexes) {
      b.open_document(std::to_string(k++)).string("name", name);
      if (auto spec = l.specs.find(name); spec != l.specs.end()) b.document("spec", spec->second);
      b.open_array("shards");
      int j = 0;
      for (auto shard : shards) b.int32(std::to_string(j++), static_cast<std::int32_t>(shard));
      b.close().close();
    }
    b.close().close();
  }
  b.close().open_array("views");
  n = 0;
  for (const auto& [ns, definition] : views_) b.open_document(std::to_string(n++)).string("ns", ns).document("definition", definition).close();
  b.close();
  return b.finish();
}

void Catalog::load(bson::View document) {
  next_id_ = static_cast<std::uint64_t>(document.integer("next_id").value_or(1));
  for (const auto& e : document.fields("collections")) {
    auto v = *e.document();
    auto id = static_cast<std::uint64_t>(*v.integer("id"));
    auto& l = logicals_[id];
    l.ns = std::string(*v.string("ns"));
    l.info = std::make_shared<const Collection>(Collection{id, filter_.target(l.ns), v["replicated"].truthy(), v["capped"].truthy(),
                                                           v["simple_collation"].truthy(), !sharded_ || v["take_migrated"].truthy(), v["copied_up_to"].timestamp().value_or(Timestamp())});
    l.internal = v["internal"].truthy();
    l.replaced = v["replaced"].truthy();
    l.left_over = v["left_over"].truthy();
    if (v["named"].truthy()) by_ns_[l.ns] = id;
    for (const auto& i : v.fields("incarnations")) {
      auto inc = *i.document();
      join(l, {static_cast<ShardIndex>(*inc.integer("shard")), *Uuid::from(inc["uuid"])});
    }
    for (const auto& i : v.fields("indexes")) {
      auto index = *i.document();
      auto name = std::string(*index.string("name"));
      auto& shards = l.indexes[name];
      for (const auto& s : index.fields("shards")) shards.insert(static_cast<ShardIndex>(*s.integer()));
      if (auto spec = index.document("spec")) l.specs[name] = bson::Document::copy_of(*spec);
    }
  }
  for (const auto& e : document.fields("views")) {
    auto v = *e.document();
    views_[std::string(*v.string("ns"))] = bson::Document::copy_of(*v.document("definition"));
  }
  changed_ = false;
}

}  // namespace mongotwin::oplog
