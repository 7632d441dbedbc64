// SPDX-License-Identifier: Apache-2.0
#include "apply/ddl_applier.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>

#include "apply/mongo_writer.h"
#include "base/log.h"
#include "mongo/cursor.h"

namespace mongotwin::apply {
namespace {

namespace code = mongo::code;

constexpr const char* kStandIn = "mongotwin_shard_key";

std::string database_of(const std::string& ns) { return ns.substr(0, ns.find('.')); }
std::string name_of(const std::string& ns) { return ns.substr(ns.find('.') + 1); }

bool is_buckets(const std::string& ns) { return name_of(ns).starts_with("system.buckets."); }

bson::Document held_back(bson::View spec) {
  bson::Builder b;
  for (const auto& e : spec) {
    if (e.key() == "ns") continue;  // old servers kept the namespace in the specification
    if (e.key() == "hidden" && e.truthy()) continue;
    if (e.key() == "expireAfterSeconds") b.int32("expireAfterSeconds", kHeldSeconds);
    else b.element(e);
  }
  return b.finish();
}

// Options of `create` for a time-series collection; those of its buckets are made by the server.
bson::Document time_series_options(bson::View options) {
  bson::Builder b;
  for (const char* name : {"timeseries", "collation", "storageEngine", "indexOptionDefaults"})
    if (auto e = options[name]) b.element(e);
  return b.finish();
}

bson::Document without(bson::View v, std::initializer_list<std::string_view> names) {
  bson::Builder b;
  for (const auto& e : v)
    if (std::find(names.begin(), names.end(), e.key()) == names.end()) b.element(e);
  return b.finish();
}

// An index of the simple collation says nothing of it, and would get the collection's default one.
bson::Document with_own_collation(bson::View spec) {
  bson::Builder b;
  b.fields_of(spec);
  if (!spec["collation"] && spec.integer("v").value_or(2) >= 2) b.open_document("collation").string("locale", "simple").close();
  return b.finish();
}

// What documents of different moments may clash on.
bool demands_unique(bson::View spec) { return spec["unique"].truthy() || spec["prepareUnique"].truthy(); }

// An index specification after collMod: what is switched off, or served its purpose, is not in it any more.
bson::Document changed(bson::View spec, bson::View changes) {
  bson::Builder b;
  for (const auto& e : spec)
    if (!changes[e.key()] && !(e.key() == "prepareUnique" && changes["unique"].truthy())) b.element(e);
  for (const auto& e : changes)
    if (e.boolean().value_or(true)) b.element(e);
  return b.finish();
}

// As a router wants the key of a time series, which it translates into that of the buckets.
bson::Document in_user_fields(bson::View key, bson::View time_series) {
  static constexpr std::string_view kMeta = "meta", kTime = "control.min.";
  bson::Builder b;
  for (const auto& e : key) {
    auto path = e.key();
    bool meta = path == kMeta || path.starts_with("meta.");
    if (meta) b.value(std::string(time_series.string("metaField").value_or(kMeta)) + std::string(path.substr(kMeta.size())), e);
    else b.value(path.starts_with(kTime) ? path.substr(kTime.size()) : path, e);
  }
  return b.finish();
}

bson::Document only(const bson::Element& e) { return bson::Builder().value("expireAfterSeconds", e).finish(); }

}  // namespace

std::string user_namespace(const std::string& ns) { return is_buckets(ns) ? database_of(ns) + "." + name_of(ns).substr(15) : ns; }

bool DdlApplier::run(const std::string& database, bson::View command, bool tolerant, std::initializer_list<int> fine) {
  auto client = target_.patient().acquire();
  try {
    client.run(database, command);
    return true;
  } catch (const mongo::CommandError& e) {
    if (tolerant && std::find(fine.begin(), fine.end(), e.code()) != fine.end()) {
      log::debug("apply", "{}: already as it should be ({})", bson::to_json(command, 200), e.what());
      return false;
    }
    if (e.remedy() == Remedy::retry) throw;
    throw mongo::CommandError(e.remedy(), e.code(), false, fmt::format("{}; the command was {}", e.what(), bson::to_json(command)),
                              e.hint().empty() ? "the target refuses what the source has done; put it right there, or start again with a new copy" : e.hint(), e.reply());
  }
}

void DdlApplier::apply(const oplog::Ddl& ddl, bool tolerant, bool consistent) {
  using enum oplog::DdlKind;
  switch (ddl.kind) {
    case create: create_collection(ddl.ns, ddl.spec, tolerant); break;
    case drop: this->drop(ddl.ns, tolerant); break;
    case rename: this->rename(ddl, tolerant); break;
    case create_index: create_indexes(ddl.ns, {ddl.spec}, consistent); break;
    case drop_index: this->drop_index(ddl, tolerant); break;
    case coll_mod: this->coll_mod(ddl, tolerant, consistent); break;
    case create_view: this->create_view(ddl.ns, ddl.spec, tolerant); break;
    case drop_view: run(database_of(ddl.ns), bson::Builder().string("drop", name_of(ddl.ns)).finish(), tolerant, {code::kNamespaceNotFound}); break;
    case modify_view:
      run(database_of(ddl.ns), bson::Builder().string("collMod", name_of(ddl.ns)).fields_of(without(ddl.spec, {"collation"})).finish(), false, {});
      break;
    case bring_in: TWIN_INVARIANT(false); break;  // see copy::bring_in
    case shard_collection:
      if (!target_.sharded()) break;
      if (auto by = rules_.shard_key(ddl.ns, ddl.spec.view().fields(ddl.spec["shardKey"] ? "shardKey" : "key"), ddl.spec["unique"].truthy())) this->shard_collection(ddl.ns, *by);
      break;
  }
}

void DdlApplier::create_collection(const std::string& ns, bson::View options, bool tolerant) {
  create_unsharded(ns, options, tolerant);
  if (auto by = rules_.shard_key(ns, {}, false)) shard_collection(ns, *by);
}

void DdlApplier::create_unsharded(const std::string& ns, bson::View options, bool tolerant) {
  auto own = bson::Document::copy_of(options);
  auto expiry = options["expireAfterSeconds"];
  if (expiry) holds_.hold_collection_ttl(user_namespace(ns), only(expiry));
  if (is_buckets(ns)) own = time_series_options(options);
  bson::Builder b;
  b.string("create", name_of(user_namespace(ns))).fields_of(without(own, {"expireAfterSeconds", "uuid", "temp", "autoIndexId"}));
  append_majority(b);
  run(database_of(ns), b.finish(), tolerant, {code::kNamespaceExists});
}

void DdlApplier::create_view(const std::string& ns, bson::View definition, bool tolerant) {
  bson::Builder b;
  b.string("create", name_of(ns)).fields_of(definition);
  append_majority(b);
  run(database_of(ns), b.finish(), tolerant, {code::kNamespaceExists});
}

void DdlApplier::drop(const std::string& ns, bool tolerant) {
  bson::Builder b;
  b.string("drop", name_of(user_namespace(ns)));
  append_majority(b);
  run(database_of(ns), b.finish(), tolerant, {code::kNamespaceNotFound});
  holds_.forget_collection(user_namespace(ns));
  holds_.forget_collection(ns);
  layout_.refresh();
}

void DdlApplier::rename(const oplog::Ddl& ddl, bool tolerant) {
  bson::Builder b;
  b.string("renameCollection", ddl.ns).string("to", ddl.to).boolean("dropTarget", ddl.drop_target);
  append_majority(b);
  bool renamed = run("admin", b.finish(), tolerant, {code::kNamespaceNotFound});
  // Met again after a crash it is done already, and what is held under the new name is the collection's own.
  if (renamed || holds_.holds_any(ddl.ns)) holds_.rename(ddl.ns, ddl.to);
  layout_.refresh();
  if (rules_.collections.contains(ddl.to)) log::warn("apply", "target: {} came by a rename from {}: it stays sharded as that was, whatever `sharding` says of it", ddl.to, ddl.ns);
}

void DdlApplier::create_indexes(const std::string& ns, const std::vector<bson::Document>& specs, bool consistent) {
  std::vector<bson::Document> now;
  for (const auto& spec : specs) {
    auto name = std::string(spec.view().string("name").value_or(""));
    if (auto expiry = spec["expireAfterSeconds"]) holds_.hold_ttl(ns, name, only(expiry));
    if (spec["hidden"].truthy()) holds_.hold_hidden(ns, name);
    auto held = held_back(spec);
    if (!consistent && demands_unique(spec)) holds_.hold_unique(ns, held);
    else now.push_back(held);
  }
  if (now.empty()) return;
  try {
    return build(ns, now);
  } catch (const mongo::CommandError& e) {
    if (consistent || e.remedy() == Remedy::retry) throw;
    log::debug("apply", "{}", e.what());
  }
  for (const auto& spec : now) build_or_hold(ns, spec);  // one of them is enough for the command to fail
}

// The copy may hold documents of later already, which the index refuses: places that are none, parallel arrays, …
void DdlApplier::build_or_hold(const std::string& ns, const bson::Document& spec) {
  try {
    build(ns, {spec});
  } catch (const mongo::CommandError& e) {
    if (e.remedy() == Remedy::retry) throw;
    log::warn("apply", "target: {}: the index {} can't be built yet; it is tried again when the target is consistent: {}", ns, spec.view().string("name").value_or(""), e.what());
    holds_.hold_unique(ns, spec);
  }
}

void DdlApplier::build(const std::string& ns, const std::vector<bson::Document>& specs) {
  std::vector<std::string> names;
  bson::Builder b;
  b.string("createIndexes", name_of(ns)).open_array("indexes");
  for (const auto& spec : specs) {
    b.document(std::to_string(names.size()), with_own_collation(spec));
    names.emplace_back(spec.view().string("name").value_or(""));
  }
  b.close();
  append_majority(b);
  auto command = b.finish();
  auto under_way = builds_.begin(ns, std::move(names));
  auto rule = rules_.collections.find(ns);
  if (rule == rules_.collections.end() || rule->second.by.key.empty()) {
    run(database_of(ns), command, false, {});
    return;
  }
  try {
    run(database_of(ns), command, false, {});
  } catch (const mongo::CommandError& e) {
    bool conflict = e.code() == code::kIndexOptionsConflict || e.code() == code::kIndexKeySpecsConflict;
    if (!conflict || !make_way_for(specs, ns, rule->second.by.key)) throw;
    run(database_of(ns), command, false, {});
  }
  // Also one that a run which died in between has left.
  auto uniques = holds_.uniques();
  if (std::none_of(uniques.begin(), uniques.end(), [&](const auto& held) { return held.ns == ns; })) drop_stand_in(ns);
}

// Where the target alone is sharded by a key, the server has made an index for it that the source comes to have otherwise.
bool DdlApplier::make_way_for(const std::vector<bson::Document>& specs, const std::string& ns, bson::View shard_key) {
  for (const auto& there : list_indexes(ns)) {
    if (!same_key(there.view().fields("key"), shard_key) || !without(there, {"v", "key", "name"}).empty()) continue;
    for (const auto& spec : specs)
      if (same_key(spec.view().fields("key"), shard_key) || spec.view().string("name") == there.view().string("name")) {
        make_way(ns, there);
        return true;
      }
  }
  return false;
}

// Drops an index that is to be replaced, also if it is the only one for the shard key; then the stand-in has to go later.
void DdlApplier::make_way(const std::string& ns, bson::View index) {
  auto drop = bson::Builder().string("dropIndexes", name_of(ns)).string("index", index.string("name").value_or("")).finish();
  try {
    run(database_of(ns), drop, true, {code::kIndexNotFound});
  } catch (const mongo::CommandError& e) {
    if (e.code() != code::kCannotDropShardKeyIndex) throw;
    create_stand_in(ns, index.fields("key"));
    run(database_of(ns), drop, true, {code::kIndexNotFound});
  }
}

// Serves the shard key for as long as the index that shall do so can't be there. No document has the last field.
void DdlApplier::create_stand_in(const std::string& ns, bson::View shard_key) {
  auto spec = bson::Builder();
  spec.string("name", kStandIn).open_document("key").fields_of(shard_key).int32(kStandIn, 1).close();
  auto b = bson::Builder();
  b.string("createIndexes", name_of(ns)).open_array("indexes").document("0", with_own_collation(spec.finish())).close();
  append_majority(b);
  run(database_of(ns), b.finish(), false, {});
}

void DdlApplier::drop_stand_in(const std::string& ns) {
  if (layout_.shard_key(ns).empty()) return;
  auto b = bson::Builder();
  b.string("dropIndexes", name_of(ns)).string("index", kStandIn);
  append_majority(b);
  try {
    run(database_of(ns), b.finish(), true, {code::kIndexNotFound, code::kNamespaceNotFound});
  } catch (const mongo::CommandError& e) {
    if (e.code() != code::kCannotDropShardKeyIndex) throw;
    log::warn("apply", "target: {}: the index {} stays, since no index of the source serves the target's shard key", ns, kStandIn);
  }
}

std::vector<bson::Document> DdlApplier::list_indexes(const std::string& ns) {
  auto client = target_.patient().acquire();
  try {
    return mongo::fetch_all(client, database_of(ns), bson::Builder().string("listIndexes", name_of(ns)).finish());
  } catch (const mongo::CommandError& e) {
    if (e.code() != code::kNamespaceNotFound) throw;
  }
  return {};
}

std::optional<bson::Document> DdlApplier::find_index(const std::string& ns, const std::string& name) {
  for (const auto& spec : list_indexes(ns))
    if (spec.view().string("name") == name) return spec;
  return {};
}

void DdlApplier::drop_index(const oplog::Ddl& ddl, bool tolerant) {
  bool held = holds_.holds_unique(ddl.ns, ddl.index);
  holds_.forget_index(ddl.ns, ddl.index);
  bson::Builder b;
  b.string("dropIndexes", name_of(ddl.ns)).string("index", ddl.index);
  append_majority(b);
  try {
    run(database_of(ddl.ns), b.finish(), tolerant || held, {code::kIndexNotFound, code::kNamespaceNotFound});  // one that is held need not be there
  } catch (const mongo::CommandError& e) {
    if (e.code() != code::kCannotDropShardKeyIndex) throw;
    if (make_way_to_held(ddl.ns, ddl.index)) return;
    log::warn("apply", "target: {}: the index {}, which the source has dropped, stays: it serves the shard key that only the target has", ddl.ns, ddl.index);
  }
  if (held) drop_stand_in(ddl.ns);
}

// The index that is to serve the shard key on the target too may be one that is held yet. False if none is.
bool DdlApplier::make_way_to_held(const std::string& ns, const std::string& name) {
  auto index = find_index(ns, name);
  if (!index) return false;
  auto parts = layout_.shard_key(ns).size();
  bson::Builder b;
  for (const auto& field : index->view().fields("key"))
    if (parts > 0) {
      b.element(field);
      --parts;
    }
  auto shard_key = b.finish();
  auto uniques = holds_.uniques();
  if (std::none_of(uniques.begin(), uniques.end(), [&](const auto& held) { return held.ns == ns && serves(held.value, shard_key); })) return false;
  make_way(ns, *index);
  return true;
}

// The change of an index that is not built yet is kept for then; false if it is not held.
bool DdlApplier::change_held_unique(const std::string& ns, const std::string& name, bson::View changes) {
  if (!holds_.holds_unique(ns, name)) return false;
  log::debug("apply", "{}: the index {} is not built yet; its change is kept for then", ns, name);
  for (const auto& held : holds_.uniques())
    if (held.ns == ns && held.name == name) holds_.hold_unique(ns, changed(held.value, changes));
  return true;
}

// A plain index stays one until the target is consistent; that it shall be unique is kept for then.
void DdlApplier::hold_back_unique(const std::string& ns, const std::string& name, bson::View changes) {
  if (auto spec = find_index(ns, name)) holds_.hold_unique(ns, changed(*spec, changes));
}

void DdlApplier::coll_mod(const oplog::Ddl& ddl, bool tolerant, bool consistent) {
  auto spec = ddl.spec.view();
  bson::Builder b;
  b.string("collMod", name_of(user_namespace(ddl.ns)));
  bool anything = false;
  for (const auto& e : spec) {
    if (e.key() == "index" && e.is_object()) {
      auto name = std::string(e.fields().string("name").value_or(""));
      if (auto expiry = e.fields()["expireAfterSeconds"]) holds_.hold_ttl(ddl.ns, name, only(expiry));
      if (auto hidden = e.fields()["hidden"]) hidden.truthy() ? holds_.hold_hidden(ddl.ns, name) : holds_.forget_hidden(ddl.ns, name);
      // A plain index may become a TTL index by collMod (5.1 and later): the far value goes in every time.
      auto changes = held_back(e.fields());
      if (change_held_unique(ddl.ns, name, changes)) continue;
      if (!consistent && demands_unique(changes)) {
        hold_back_unique(ddl.ns, name, changes);
        continue;
      }
      if (without(changes, {"name"}).empty()) continue;
      b.document("index", changes);
      anything = true;
    } else if (e.key() == "expireAfterSeconds") {
      holds_.hold_collection_ttl(user_namespace(ddl.ns), only(e));
    } else {
      b.element(e);
      anything = true;
    }
  }
  if (!anything) return;
  append_majority(b);
  run(database_of(ddl.ns), b.finish(), tolerant, {});
}

bson::Document DdlApplier::time_series_of(const std::string& buckets) {
  auto client = target_.router().acquire();
  auto list = bson::Builder().int32("listCollections", 1).open_document("filter").string("name", name_of(buckets)).close().finish();
  for (const auto& found : mongo::fetch_all(client, database_of(buckets), list)) return bson::Document::copy_of(found.view().fields("options").fields("timeseries"));
  return {};
}

void DdlApplier::shard_collection(const std::string& ns, const ShardKey& by) {
  layout_.refresh();
  if (!layout_.shard_key(ns).empty()) return;
  run("admin", bson::Builder().string("enableSharding", database_of(ns)).finish(), false, {});
  // Key ranges compare by the simple collation; a collection with another default must say so.
  auto command = bson::Builder();
  command.string("shardCollection", user_namespace(ns)).document("key", is_buckets(ns) ? in_user_fields(by.key, time_series_of(ns)) : by.key).boolean("unique", by.unique).open_document("collation").string("locale", "simple").close();
  bool awaited = false;
  for (const auto& held : holds_.uniques()) {
    if (held.ns != ns || !by.unique || !same_key(held.value.view().fields("key"), by.key)) continue;
    build(ns, {held.value});  // else the server makes one of the same key and another name
    holds_.forget_unique(ns, held.name);
  }
  for (const auto& held : holds_.uniques()) awaited |= held.ns == ns && serves(held.value, by.key);
  if (awaited && !by.unique) create_stand_in(ns, by.key);
  if (by.chunks && begins_hashed(by.key)) command.int32("numInitialChunks", *by.chunks);
  run("admin", command.finish(), false, {});
  layout_.refresh();
}

void DdlApplier::build_held_unique() {
  std::map<std::string, std::vector<bson::Document>> by_ns;
  for (const auto& index : holds_.uniques()) by_ns[index.ns].push_back(index.value);
  std::vector<std::string> failures;
  for (const auto& [ns, specs] : by_ns) {
    log::info("apply", "{}: building {} index{} that waited", ns, specs.size(), specs.size() == 1 ? "" : "es");
    for (const auto& spec : specs) remove_plain(ns, spec);
    try {
      build(ns, specs);
      for (const auto& spec : specs) holds_.forget_unique(ns, std::string(spec.view().string("name").value_or("")));
    } catch (const mongo::CommandError& e) {
      if (e.remedy() == Remedy::retry) throw;
      build_one_by_one(ns, specs, failures);
    }
    drop_stand_in(ns);
  }
  if (failures.empty()) return;
  throw Error(Remedy::pause, fmt::format("target: {} index{} can't be built: {}", failures.size(), failures.size() == 1 ? "" : "es", fmt::join(failures, "; ")),
              "all others are built; see to the documents or the index on the target, or drop the index on the source, then start again");
}

// What was kept as a plain index until now.
void DdlApplier::remove_plain(const std::string& ns, const bson::Document& spec) {
  auto name = std::string(spec.view().string("name").value_or(""));
  auto there = find_index(ns, name);
  if (there && ((*there)["unique"].truthy() != spec["unique"].truthy() || (*there)["prepareUnique"].truthy() != spec["prepareUnique"].truthy()))
    make_way(ns, *there);
}

void DdlApplier::build_one_by_one(const std::string& ns, const std::vector<bson::Document>& specs, std::vector<std::string>& failures) {
  for (const auto& spec : specs) {
    auto name = std::string(spec.view().string("name").value_or(""));
    try {
      build(ns, {spec});
      holds_.forget_unique(ns, name);
    } catch (const mongo::CommandError& e) {
      if (e.remedy() == Remedy::retry) throw;
      failures.push_back(fmt::format("{} of {}: {}", name, ns, e.what()));
    }
  }
}

void DdlApplier::run_within(std::chrono::milliseconds at_most, const std::string& database, bson::Builder& command, std::initializer_list<int> fine) {
  append_majority(command);
  if (at_most > kNoLimit) command.int64("maxTimeMS", at_most.count());
  try {
    run(database, command.finish(), true, fine);
  } catch (const mongo::CommandError& e) {
    if (e.code() != code::kMaxTimeMsExpired) throw;
    throw Error(Remedy::retry, e.what(), "see what holds the collection there: db.currentOp()");
  }
}

// Who has no limit may look first: what is as it should be needs no collMod, which would wait for a reader's transaction. Not
// through a router, which shows one shard, and not what a command that was given up will still do.
void DdlApplier::change_index(std::chrono::milliseconds at_most, const std::string& ns, const std::string& name, bson::View change) {
  if (at_most == kNoLimit && !target_.sharded()) {
    auto spec = find_index(ns, name);
    if (!spec) return;
    bool is_so = true;
    for (const auto& e : change) {
      auto now = spec->view()[e.key()];
      is_so &= now ? now.same_value(e) : e.boolean() == false;
    }
    if (is_so) return;
  }
  auto command = bson::Builder().string("collMod", name_of(ns)).open_document("index").string("name", name).fields_of(change).close();
  run_within(at_most, database_of(ns), command, {code::kIndexNotFound, code::kNamespaceNotFound});
}

void DdlApplier::hold_again(std::chrono::milliseconds at_most) {
  for (const auto& index : holds_.ttls()) change_index(at_most, index.ns, index.name, bson::Builder().int32("expireAfterSeconds", kHeldSeconds).finish());
  for (const auto& index : holds_.hidden()) change_index(at_most, index.ns, index.name, bson::Builder().boolean("hidden", false).finish());
  for (const auto& collection : holds_.collection_ttls()) {
    auto command = bson::Builder().string("collMod", name_of(collection.ns)).string("expireAfterSeconds", "off");
    run_within(at_most, database_of(collection.ns), command, {code::kIndexNotFound, code::kNamespaceNotFound});
  }
}

void DdlApplier::restore_held(std::chrono::milliseconds at_most) {
  auto indexes = holds_.ttls();
  for (auto& index : holds_.hidden()) indexes.push_back(std::move(index));
  for (const auto& index : indexes) change_index(at_most, index.ns, index.name, index.value);
  for (const auto& collection : holds_.collection_ttls()) {
    auto command = bson::Builder();
    command.string("collMod", name_of(collection.ns)).fields_of(collection.value);
    run_within(at_most, database_of(collection.ns), command, {code::kNamespaceNotFound});
  }
  for (const auto& index : indexes) holds_.forget_index(index.ns, index.name);
  for (const auto& collection : holds_.collection_ttls()) holds_.forget_collection(collection.ns);
}

}  // namespace mongotwin::apply
