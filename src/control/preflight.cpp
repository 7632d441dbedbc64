// SPDX-License-Identifier: Apache-2.0
#include "control/preflight.h"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <strings.h>

#include <algorithm>
#include <set>

#include "apply/layout.h"
#include "control/layout_check.h"
#include "control/rights.h"
#include "copy/user_copy.h"
#include "journal/disk_journal.h"
#include "mongo/cursor.h"
#include "source/mongo_oplog.h"

namespace mongotwin::control {
namespace {

constexpr std::size_t kNamedMax = 5;
constexpr std::int64_t kShortOplogSeconds = 3600;
constexpr std::size_t kShardedNamespaceMax = 235;  // bytes; the server's limit for sharded collections

std::set<std::string> databases_of(const std::set<std::string>& collections) {
  std::set<std::string> out;
  for (const auto& ns : collections) out.insert(ns.substr(0, ns.find('.')));
  return out;
}

struct Namespaces {
  std::set<std::string> databases, collections;
  std::set<std::string> on_target;  // of the source: what its collections are called there
};

template <class Wanted>
Namespaces list_namespaces(mongo::Cluster& cluster, Wanted wanted) {
  Namespaces out;
  auto client = cluster.router().acquire();
  auto reply = client.run("admin", bson::Builder().int32("listDatabases", 1).boolean("nameOnly", true).finish());
  for (const auto& e : reply.view().fields("databases")) {
    auto database = std::string(e.fields().string("name").value_or(""));
    if (oplog::NamespaceFilter::is_internal_database(database)) continue;
    out.databases.insert(database);
    for (const auto& doc : mongo::fetch_all(client, database, bson::Builder().int32("listCollections", 1).boolean("nameOnly", true).finish())) {
      auto name = std::string(doc.view().string("name").value_or(""));
      auto ns = database + "." + name;
      if (name != "system.views" && name != "system.profile" && wanted(ns)) out.collections.insert(ns);
    }
  }
  return out;
}

void take_target_names(Namespaces& source, const oplog::NamespaceFilter& filter) {
  for (const auto& ns : source.collections)
    if (!source.on_target.insert(filter.target(ns)).second)
      throw Error(Remedy::fix_config, fmt::format("two collections of the source would be {} on the target; {} is one of them", filter.target(ns), ns), "change `rename`, or exclude one of the two");
}

std::string some_of(const std::vector<std::string>& names) {
  std::vector<std::string> first(names.begin(), names.begin() + static_cast<long>(std::min(names.size(), kNamedMax)));
  auto text = fmt::format("{}", fmt::join(first, ", "));
  if (names.size() > kNamedMax) text += fmt::format(" and {} more", names.size() - kNamedMax);
  return text;
}

void check_versions(Pair& pair) {
  for (auto* cluster : {pair.source.get(), pair.target.get()}) {
    pair.lines.push_back(fmt::format("{}: {}, MongoDB {} (feature compatibility {}), {}: {}", cluster->label(), cluster->redacted_uri(), cluster->version(), cluster->feature_version(),
                                     cluster->sharded() ? "shards" : "replica set", fmt::join(cluster->shard_names(), ", ")));
    if (cluster->major() < 5 && !cluster->version().starts_with("4.4"))
      throw Error(Remedy::fix_config, fmt::format("{}: MongoDB {} is too old", cluster->label(), cluster->version()), "mongotwin needs 4.4 or later");
  }
  if (pair.target->major() < pair.source->major())
    pair.warnings.push_back(fmt::format("the target (MongoDB {}) is older than the source ({}): what it does not know yet will stop the replication", pair.target->version(), pair.source->version()));
}

void check_oplogs(Pair& pair) {
  for (auto& shard : pair.source->shards()) {
    auto client = shard.pool->acquire();
    auto window = source::oplog_window(client);
    pair.lines.push_back(fmt::format("source shard {}: the oplog holds the last {} h {} min", shard.name, window.seconds() / 3600, window.seconds() / 60 % 60));
  }
}

void check_names(Pair& pair, const Namespaces& source, const Namespaces& target) {
  for (const auto& database : databases_of(source.on_target))
    for (const auto& other : target.databases)
      if (database != other && strcasecmp(database.c_str(), other.c_str()) == 0)
        throw Error(Remedy::fix_config, fmt::format("target: the database {} can't be created: {} is there, which differs only by case", database, other), fmt::format("drop {} on the target or exclude {} here", other, database));
  if (!pair.target->sharded() || !pair.source->sharded()) return;
  apply::TargetLayout layout(pair.source->router(), true);
  layout.refresh();
  for (const auto& ns : source.collections)
    if (pair.filter.target(ns).size() > kShardedNamespaceMax && !layout.shard_key(ns).empty())
      throw Error(Remedy::fix_config, fmt::format("target: the name {}… has {} bytes; a sharded collection's may have {}", ns.substr(0, 60), ns.size(), kShardedNamespaceMax), "exclude the collection or rename it on the source");
}

// The configured direction is the wrong one for a copy once the roles have changed.
std::string how_to_copy_again(const options::Options& options) {
  if (!options.reversed) return "drop the document of this link in mongotwin.checkpoints on the target to copy again";
  return "to copy again: the roles have changed, so swap `source` and `target` in the configuration first, then drop the document of this link in mongotwin.checkpoints on both clusters";
}

void check_checkpoint(Pair& pair, const options::Options& options) {
  const auto& c = *pair.checkpoint;
  auto again = how_to_copy_again(options);
  bool stands_alone = c.phase == checkpoint::Phase::failing_over || c.phase == checkpoint::Phase::failed_over;
  if (c.source_id != pair.source->id() && stands_alone)
    throw Error(Remedy::fix_config, "target: it has taken over from another cluster than this source (a failover), and is the one that lives",
                "to have this cluster follow it, swap `source` and `target` in the configuration and remove the document of this link in mongotwin.checkpoints on the cluster that lives; a copy in the configured direction would replace what that one has");
  if (c.source_id != pair.source->id())
    throw Error(Remedy::fix_config, "target: its checkpoint belongs to another source cluster", fmt::format("use another `link` name, or {}", again));
  if (c.namespaces != pair.namespaces)
    throw Error(Remedy::fix_config, fmt::format("the configured namespaces ({}) are not those that the link was started with ({})", pair.namespaces, c.namespaces), fmt::format("put them back, or {}", again));
  bool follows = c.phase == checkpoint::Phase::catching_up || c.phase == checkpoint::Phase::replicating || c.phase == checkpoint::Phase::opening;
  // What shards came and went since then, the pipeline finds out for itself.
  if (pair.source->sharded() && follows) pair.source->set_shards(c.shards, c.hosts);
  if (follows && c.shards != pair.source->shard_names())
    throw Error(Remedy::fix_config, fmt::format("source: its shards are now {}, the link was started with {}", fmt::join(pair.source->shard_names(), ", "), fmt::join(c.shards, ", ")), again);
  if (c.phase == checkpoint::Phase::copying || c.phase == checkpoint::Phase::finishing || c.phase == checkpoint::Phase::finished || c.phase == checkpoint::Phase::failing_over || c.phase == checkpoint::Phase::failed_over) return;
  for (std::size_t s = 0; s < c.resume.size(); ++s) {
    try {
      check_history(*pair.source, pair.source->shards()[s], c.resume[s], options.journal.path);
    } catch (const Error& e) {
      if (e.remedy() != Remedy::retry) throw Error(Remedy::fix_config, e.what(), e.hint());
    }
  }
}

void check_target(Pair& pair, const options::Options& options, const Namespaces& source, const Namespaces& target) {
  apply::TargetLayout layout(pair.target->router(), pair.target->sharded());
  layout.refresh();
  auto client = pair.target->router().acquire();
  std::vector<std::string> in_the_way;
  for (const auto& ns : target.collections) {
    auto find = bson::Builder().string("find", ns.substr(ns.find('.') + 1)).int32("limit", 1).boolean("singleBatch", true).finish();
    bool empty = !layout.shard_key(ns).empty() && mongo::fetch_all(client, ns.substr(0, ns.find('.')), find).empty();
    if (empty) pair.sharded_beforehand.push_back(ns);
    else if (options.on_existing_target == options::OnExisting::refuse) in_the_way.push_back(ns);
    else if (source.on_target.contains(ns)) pair.existing.push_back(ns);
    else pair.warnings.push_back(fmt::format("{} is only on the target; it stays there", ns));
  }
  if (!in_the_way.empty())
    throw Error(Remedy::fix_config, fmt::format("target: it is not empty: {} {} there already", some_of(in_the_way), in_the_way.size() == 1 ? "is" : "are"),
                "drop what is there, exclude it, or set on_existing_target: drop to have it replaced");
}

// Without a mark in the checkpoint nothing of them was copied yet.
void check_users(Pair& pair, const options::Options& options) {
  check_rights_on_users(*pair.source, *pair.target);
  pair.lines.emplace_back("users and roles are copied too");
  if (options.on_existing_target == options::OnExisting::drop || (pair.checkpoint && pair.checkpoint->users)) return;
  if (auto other = copy::UserCopy(pair.source->router(), pair.target->router(), options.copy_users->exclude).differing(); !other.empty())
    throw Error(Remedy::fix_config, fmt::format("target: not what it is on the source: {}", some_of(other)), "exclude what each cluster has of its own (copy_users: {exclude: [admin.root]}), drop it there, or set on_existing_target: drop to have it replaced");
}

void check_pair(Pair& pair, const options::Options& options) {
  check_versions(pair);
  check_rights(*pair.source, *pair.target);
  check_oplogs(pair);
  auto source = list_namespaces(*pair.source, [&](const auto& ns) { return pair.filter.includes(ns); });
  auto target = list_namespaces(*pair.target, [&](const auto& ns) { return pair.filter.includes_target(ns); });
  take_target_names(source, pair.filter);
  pair.sharding = sharding_rules(options, pair.filter);
  bool shards = pair.target->sharded() && (pair.source->sharded() || !pair.sharding.collections.empty());
  check_rights_on(*pair.source, *pair.target, databases_of(source.collections), databases_of(source.on_target), shards);
  pair.lines.push_back(fmt::format("to be replicated: {} collections and views", source.collections.size()));
  check_names(pair, source, target);
  if (pair.checkpoint) {
    check_checkpoint(pair, options);
    pair.sharded_beforehand = pair.checkpoint->emptied;
    for (const auto& note : pair.checkpoint->notes) pair.warnings.push_back(note);
    pair.lines.push_back(fmt::format("the link \"{}\" was started before: phase {}", options.link, checkpoint::to_string(pair.checkpoint->phase)));
  } else {
    check_target(pair, options, source, target);
  }
  check_layout(pair, options, source.collections);
  if (options.copy_users) check_users(pair, options);
}

void load_checkpoint(Pair& pair, const std::string& link) {
  pair.checkpoint.reset();
  auto document = checkpoint::MongoCheckpointStore(pair.target->router(), link).load();
  if (document) pair.checkpoint = checkpoint::Checkpoint::parse(*document);
  // Its state is on the source, and is gone from there: a copy would replace the cluster that lives with the one that followed it.
  if (pair.checkpoint && pair.checkpoint->phase == checkpoint::Phase::switched)
    throw Error(Remedy::fix_config, fmt::format("target: it became the source of the link \"{}\" by a change of roles, and the link's state is gone from the cluster that followed it", link),
                "to copy again, swap `source` and `target` in the configuration and remove the document of this link in mongotwin.checkpoints; only if the configured target may really be replaced by the source, remove the document and leave the configuration as it is");
}

}  // namespace

void check_history(const mongo::Cluster& source, mongo::Shard& shard, oplog::Timestamp position, const std::string& journal) {
  auto span = journal::DiskJournal::span_of(journal, source.id(), shard.name);
  bool is_there = span && span->first <= position && position <= span->last;
  source::MongoOplog(*shard.pool).open(is_there ? span->last : position);
}

std::vector<std::string> namespaces_of(mongo::Cluster& cluster, const std::function<bool(const std::string&)>& wanted) {
  auto found = list_namespaces(cluster, wanted).collections;
  return {found.begin(), found.end()};
}

oplog::NamespaceFilter filter_of(const options::Options& options) {
  const auto& rules = options.namespaces;
  auto filter = rules.databases.empty() ? oplog::NamespaceFilter(rules.include, rules.exclude, rules.rename) : oplog::NamespaceFilter::of_databases(rules.databases, rules.rename);
  return options.reversed ? filter.inverted() : filter;
}

std::string text_of(const options::NamespaceRules& rules) {
  auto text = fmt::format("databases [{}] include [{}] exclude [{}]", fmt::join(rules.databases, " "), fmt::join(rules.include, " "), fmt::join(rules.exclude, " "));
  for (const auto& [from, to] : rules.rename) text += fmt::format(" rename {} to {}", from, to);
  return text;
}

std::optional<mongo::Credentials> to_mongo(const std::optional<options::Credentials>& c) {
  if (!c) return {};
  return mongo::Credentials{c->user, c->password, c->auth_source};
}

namespace {

void connect(Pair& pair, const options::Options& options) {
  pair.filter = filter_of(options);
  pair.namespaces = text_of(options.namespaces);
  pair.source = mongo::Cluster::connect("source", options.source_uri, to_mongo(options.source_shard_credentials));
  pair.target = mongo::Cluster::connect("target", options.target_uri, to_mongo(options.target_shard_credentials));
}

void refuse_same_cluster(const Pair& pair) {
  if (pair.source->same_servers(*pair.target)) throw Error(Remedy::fix_config, "source and target are the same cluster", "give two different clusters");
}

}  // namespace

Pair meet(const options::Options& options) {
  Pair pair;
  try {
    connect(pair, options);
    refuse_same_cluster(pair);
    load_checkpoint(pair, options.link);
    pair.sharding = sharding_rules(options, pair.filter);
  } catch (const mongo::CommandError& e) {
    throw Error(Remedy::fix_config, e.what(), e.hint());
  }
  return pair;
}

Pair preflight(const options::Options& options, const Refused& refused, const Connected& connected) {
  Pair pair;
  journal::DiskJournal::check_place(options.journal.path);
  connect(pair, options);
  try {
    refuse_same_cluster(pair);
    load_checkpoint(pair, options.link);
    if (connected && connected(pair)) load_checkpoint(pair, options.link);
    check_pair(pair, options);
  } catch (const mongo::CommandError& e) {
    if (refused) refused(*pair.source, *pair.target);
    throw Error(Remedy::fix_config, e.what(), e.hint());
  } catch (const Error&) {
    if (refused) refused(*pair.source, *pair.target);
    throw;
  }
  for (const auto& warning : pair.warnings) pair.lines.push_back("warning: " + warning);
  return pair;
}

}  // namespace mongotwin::control
