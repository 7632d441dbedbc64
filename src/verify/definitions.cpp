// SPDX-License-Identifier: Apache-2.0
#include "verify/definitions.h"

#include <fmt/format.h>

#include <algorithm>
#include <set>

#include "mongo/cursor.h"
#include "oplog/catalog.h"

namespace mongotwin::verify {
namespace {

constexpr const char* kBuckets = "system.buckets.";
constexpr const char* kStandIn = "mongotwin_shard_key";

std::string database_of(const std::string& ns) { return ns.substr(0, ns.find('.')); }
std::string name_of(const std::string& ns) { return ns.substr(ns.find('.') + 1); }
std::string user_name_of(const std::string& ns) {
  auto name = name_of(ns);
  return name.starts_with(kBuckets) ? database_of(ns) + "." + name.substr(std::string_view(kBuckets).size()) : ns;
}

bool is_internal(const std::string& name) { return name.starts_with("system.") && !name.starts_with(kBuckets) && name != "system.js"; }

std::map<std::string, bson::Document> list_indexes(mongo::Client& client, const std::string& database, const std::string& name) {
  std::map<std::string, bson::Document> out;
  try {
    for (const auto& spec : mongo::fetch_all(client, database, bson::Builder().string("listIndexes", name).boolean("includeBuildUUIDs", true).finish()))
      if (!spec["buildUUID"]) out.emplace(spec.view().string("name").value_or(""), bson::Document::copy_of(spec));
  } catch (const mongo::CommandError& e) {
    bool gone = e.code() == mongo::code::kNamespaceNotFound || e.code() == mongo::code::kCommandNotSupportedOnView;
    if (!gone) throw;  // dropped since it was listed: seen when it is compared again
  }
  return out;
}

std::string show(const bson::Element& e) { return e ? bson::to_json(e, 200) : std::string("nothing"); }

struct Comparison {
  const Expected& expected;
  std::vector<Finding>& out;
  std::string ns, target_ns;

  void differs(std::string what, std::string way_out) { out.push_back({ns, std::move(what), std::move(way_out), false}); }
  void note(std::string what) { out.push_back({ns, std::move(what), {}, true}); }

  void options(const Definition& source, const Definition& target);
  void indexes(const Definition& source, const Definition& target);
  void index(const std::string& name, bson::View source, bson::View target);
  void sharding(const Definition& source, const Definition& target);
};

std::set<std::string> names_of(bson::View a, bson::View b) {
  std::set<std::string> names;
  for (auto v : {a, b})
    for (const auto& e : v) names.emplace(e.key());
  return names;
}

void Comparison::options(const Definition& source, const Definition& target) {
  auto ours = source.options;
  if (source.is_view()) ours = oplog::view_on_target(expected.filter, ns, source.options);
  for (const auto& name : names_of(ours, target.options)) {
    auto one = ours[name], other = target.options[name];
    if (one.same_value(other)) continue;
    if (name == "expireAfterSeconds" && expected.holds.holds_collection_ttl(user_name_of(target_ns))) {
      note(fmt::format("held back until finish: option {} ({})", name, show(one)));
      continue;
    }
    differs(fmt::format("option {}: {} on the source, {} on the target", name, show(one), show(other)),
            source.is_view() ? fmt::format("collMod {} on the target with the source's viewOn and pipeline", target_ns) : fmt::format("collMod {} on the target, or drop it there and copy again if collMod can't change {}", target_ns, name));
  }
}

// `v` was stored as a double or long by old drivers; `ns` is listed by old servers.
bool same_option(std::string_view name, const bson::Element& a, const bson::Element& b) {
  if (name == "ns" || a.same_value(b)) return true;
  return name == "v" && a.integer() == b.integer();
}

void Comparison::index(const std::string& name, bson::View source, bson::View target) {
  for (const auto& option : names_of(source, target)) {
    auto ours = source[option], theirs = target[option];
    if (same_option(option, ours, theirs)) continue;
    if (option == "expireAfterSeconds" && theirs.integer() == apply::kHeldSeconds && expected.holds.holds_ttl(target_ns, name)) {
      note(fmt::format("held back until finish: expiry of index {} ({} s)", name, show(ours)));
      continue;
    }
    if (option == "hidden" && !theirs) {
      auto hidden = expected.holds.hidden();
      if (std::any_of(hidden.begin(), hidden.end(), [&](const auto& h) { return h.ns == target_ns && h.name == name; })) {
        note(fmt::format("held back until finish: that index {} is hidden", name));
        continue;
      }
    }
    differs(fmt::format("index {}: {} is {} on the source, {} on the target", name, option, show(ours), show(theirs)),
            fmt::format("on the target: db.getSiblingDB(\"{}\").getCollection(\"{}\").dropIndex(\"{}\"), then createIndex with the source's options", database_of(target_ns), name_of(target_ns), name));
  }
}

void Comparison::indexes(const Definition& source, const Definition& target) {
  auto held = expected.holds.uniques();
  auto serves_one_side = [&](const Definition& owner, const Definition& other, const bson::Document& spec) {
    if (!owner.shard_key || (other.shard_key && apply::same_key(*owner.shard_key, *other.shard_key))) return false;
    return apply::same_key(spec.view().fields("key"), *owner.shard_key) && names_of(spec, bson::View()).size() <= 4;
  };
  for (const auto& [name, spec] : source.indexes) {
    auto there = target.indexes.find(name);
    if (there != target.indexes.end()) {
      index(name, spec, there->second);
    } else if (std::any_of(held.begin(), held.end(), [&, wanted = name](const auto& h) { return h.ns == target_ns && h.name == wanted; })) {
      note(fmt::format("held back until the target is consistent: index {}", name));
    } else if (serves_one_side(source, target, spec)) {
      note(fmt::format("index {} serves the shard key of the source only", name));
    } else {
      differs(fmt::format("index {} is missing on the target: {}", name, bson::to_json(spec.view(), 300)),
              fmt::format("on the target: db.getSiblingDB(\"{}\").getCollection(\"{}\").createIndex(…) with the source's key and options", database_of(target_ns), name_of(target_ns)));
    }
  }
  for (const auto& [name, spec] : target.indexes) {
    if (source.indexes.contains(name)) continue;
    bool wanted_by_rule = target.shard_key && apply::serves(spec, *target.shard_key) && !(source.shard_key && apply::same_key(*source.shard_key, *target.shard_key));
    if (wanted_by_rule || serves_one_side(target, source, spec) || name == kStandIn) note(fmt::format("index {} serves the shard key of the target only", name));
    else
      differs(fmt::format("index {} is only on the target: {}", name, bson::to_json(spec.view(), 300)),
              fmt::format("on the target: db.getSiblingDB(\"{}\").getCollection(\"{}\").dropIndex(\"{}\")", database_of(target_ns), name_of(target_ns), name));
  }
}

void Comparison::sharding(const Definition& source, const Definition& target) {
  if (!expected.target_sharded) return;
  auto wanted = expected.sharding.shard_key(target_ns, source.shard_key ? source.shard_key->view() : bson::View(), source.shard_key_unique);
  bool by_rule = expected.sharding.collections.contains(user_name_of(target_ns));
  auto key = [](const std::optional<bson::Document>& k, bool unique) { return k ? bson::to_json(k->view(), 200) + (unique ? " unique" : "") : std::string("nothing"); };
  bool same = wanted.has_value() == target.shard_key.has_value() && (!wanted || (apply::same_key(wanted->key, *target.shard_key) && wanted->unique == target.shard_key_unique));
  auto text = fmt::format("sharded by {} on the source, by {} on the target", key(source.shard_key, source.shard_key_unique), key(target.shard_key, target.shard_key_unique));
  bool own = std::find(expected.own_layout.begin(), expected.own_layout.end(), target_ns) != expected.own_layout.end();
  // Only a sharded source has a layout to follow, and an own one of the target is the operator's.
  if (!same && !own && (expected.source_sharded || by_rule)) differs(text, fmt::format("shardCollection or reshardCollection {} on the target, or a rule under `sharding`", target_ns));
  else if (source.shard_key.has_value() != target.shard_key.has_value() || (source.shard_key && !apply::same_key(*source.shard_key, *target.shard_key))) note(text);
}

}  // namespace

Definitions list_definitions(mongo::Cluster& cluster, const std::function<bool(const std::string&)>& wanted) {
  Definitions out;
  auto client = cluster.router().acquire();
  auto reply = client.run("admin", bson::Builder().int32("listDatabases", 1).boolean("nameOnly", true).finish());
  for (const auto& e : reply.view().fields("databases")) {
    auto database = std::string(e.fields().string("name").value_or(""));
    if (oplog::NamespaceFilter::is_internal_database(database)) continue;
    for (const auto& doc : mongo::fetch_all(client, database, bson::Builder().int32("listCollections", 1).finish())) {
      auto name = std::string(doc.view().string("name").value_or(""));
      auto ns = database + "." + name;
      if (is_internal(name) || !wanted(ns)) continue;
      auto& one = out[ns];
      one.ns = ns;
      one.type = doc.view().string("type").value_or("collection");
      one.options = bson::Document::copy_of(doc.view().fields("options"));
    }
  }
  for (auto& [ns, one] : out)
    if (one.has_documents()) one.indexes = list_indexes(client, database_of(ns), name_of(ns));
  if (!cluster.sharded()) return out;
  for (const auto& doc : mongo::fetch_all(client, "config", bson::Builder().string("find", "collections").finish())) {
    auto it = out.find(std::string(doc.view().string("_id").value_or("")));
    if (it == out.end() || doc["dropped"].truthy() || doc["unsplittable"].truthy()) continue;
    it->second.shard_key = bson::Document::copy_of(doc.view().fields("key"));
    it->second.shard_key_unique = doc["unique"].truthy();
  }
  return out;
}

std::vector<Finding> compare(const Definitions& source, const Definitions& target, const Expected& expected) {
  std::vector<Finding> out;
  std::set<std::string> there;
  for (const auto& [ns, ours] : source) {
    auto target_ns = expected.filter.target(ns);
    there.insert(target_ns);
    Comparison c{expected, out, ns, target_ns};
    auto it = target.find(target_ns);
    if (it == target.end()) {
      c.differs(fmt::format("the {} is missing on the target", ours.type), "stop mongotwin and copy again (docs/operations.md)");
      continue;
    }
    const auto& theirs = it->second;
    if (ours.type != theirs.type) {
      c.differs(fmt::format("a {} on the source, a {} on the target", ours.type, theirs.type), "drop it on the target and copy again");
      continue;
    }
    c.options(ours, theirs);
    if (!ours.has_documents()) continue;
    c.indexes(ours, theirs);
    c.sharding(ours, theirs);
  }
  for (const auto& [ns, theirs] : target)
    if (!there.contains(ns)) Comparison{expected, out, ns, ns}.differs(fmt::format("the {} is only on the target", theirs.type), fmt::format("drop {} on the target, or exclude it", ns));
  return out;
}

}  // namespace mongotwin::verify
