// SPDX-License-Identifier: Apache-2.0
#include "mongo/cluster.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/log.h"
#include "mongo/cursor.h"

namespace mongotwin::mongo {
namespace {

bson::Document command(const char* name) { return bson::Builder().int32(name, 1).finish(); }

// Trouble at the start is an answer to the operator's configuration, not a reason to wait.
[[noreturn]] void as_config_error(const CommandError& e, const std::string& uri) {
  throw Error(Remedy::fix_config, fmt::format("{} ({})", e.what(), redact(uri)), e.hint());
}

std::vector<std::pair<std::string, std::string>> list_shards(Client& router) {
  std::vector<std::pair<std::string, std::string>> out;
  auto find = bson::Builder().string("find", "shards").open_document("sort").int32("_id", 1).close().open_document("readConcern").string("level", "majority").close().finish();
  for (const auto& doc : fetch_all(router, "config", find)) out.emplace_back(doc.view().string("_id").value_or(""), doc.view().string("host").value_or(""));
  return out;
}

std::string set_id_of(Client& client) {
  auto reply = client.run("admin", command("replSetGetConfig"));
  auto settings = reply.view().fields("config").fields("settings");
  auto id = settings["replicaSetId"];
  return id ? bson::to_json(id) : std::string();
}

}  // namespace

std::string id_of(Pool& router) {
  auto client = router.acquire();
  if (client.run("admin", command("hello")).view().string("msg") != "isdbgrid") return set_id_of(client);
  auto version = fetch_all(client, "config", bson::Builder().string("find", "version").finish());
  return version.empty() ? std::string() : bson::to_json(version.front()["clusterId"]);
}

std::unique_ptr<Cluster> Cluster::connect(const std::string& label, const std::string& uri, const std::optional<Credentials>& shard_credentials) {
  auto cluster = std::make_unique<Cluster>();
  cluster->label_ = label;
  cluster->shard_credentials_ = shard_credentials;
  try {
    cluster->look_at(uri);
    cluster->find_shards(cluster->uri_, shard_credentials);
  } catch (const CommandError& e) {
    as_config_error(e, uri);
  }
  return cluster;
}

std::unique_ptr<Cluster> Cluster::silent(const std::string& label, const std::string& id, const std::vector<std::string>& shards, bool sharded) {
  auto cluster = std::make_unique<Cluster>();
  cluster->label_ = label;
  cluster->id_ = id;
  cluster->sharded_ = sharded;
  for (const auto& name : shards) cluster->shards_.push_back({name, {}, nullptr, {}});
  return cluster;
}

void Cluster::look_at(const std::string& uri) {
  uri_ = uri;
  router_ = std::make_unique<Pool>(label_, uri_);
  std::string set_name;
  {
    auto client = router_->acquire();
    (void)client.select_server();
    auto hello = client.run("admin", command("hello"));
    sharded_ = hello.view().string("msg") == "isdbgrid";
    set_name = hello.view().string("setName").value_or("");
    if (!sharded_ && set_name.empty())
      throw Error(Remedy::fix_config, fmt::format("{}: {} is a standalone server, which has no oplog", label_, redact(uri_)), "restart it as a replica set of one member (--replSet, rs.initiate())");
    auto build = client.run("admin", command("buildInfo"));
    version_ = build.view().string("version").value_or("?");
    major_ = std::atoi(version_.c_str());
  }
  // A single host without a set name would be talked to directly: it must follow elections instead.
  if (!sharded_) uri_ = with_default_option(uri_, "replicaSet", set_name);
  if (uri_ != uri) router_ = std::make_unique<Pool>(label_, uri_);
  patient_ = std::make_unique<Pool>(label_, uri_, Pool::Limits{std::chrono::seconds(10), std::chrono::hours(48)});
}

void Cluster::find_shards(const std::string& uri, const std::optional<Credentials>& credentials) {
  auto client = router_->acquire();
  if (!sharded_) {
    auto hello = client.run("admin", command("hello"));
    if (!fetch_all(client, "admin", bson::Builder().string("find", "system.version").open_document("filter").string("_id", "shardIdentity").close().finish()).empty())
      throw Error(Remedy::fix_config, fmt::format("{}: {} is one shard of a sharded cluster", label_, redact(uri)), "give the URI of the cluster's mongos");
    id_ = set_id_of(client);
    shards_.push_back({std::string(hello.view().string("setName").value_or("")), {}, std::make_unique<Pool>(label_, uri), id_});
  } else {
    id_ = id_of(*router_);
    for (const auto& [name, host] : list_shards(client)) shards_.push_back({name, host, std::make_unique<Pool>(label_ + " shard " + name, shard_uri(uri, host, credentials)), {}});
    if (shards_.empty()) throw Error(Remedy::fix_config, fmt::format("{}: the cluster has no shards", label_), "add a shard first");
    for (auto& shard : shards_) {
      auto direct = shard.pool->acquire();
      (void)direct.select_server();
      shard.set_id = set_id_of(direct);
    }
  }
  auto direct = shards_.front().pool->acquire();
  auto fcv = direct.run("admin", bson::Builder().int32("getParameter", 1).int32("featureCompatibilityVersion", 1).finish());
  feature_version_ = fcv.view().fields("featureCompatibilityVersion").string("version").value_or("?");
}

std::vector<std::string> Cluster::shard_names() const {
  std::vector<std::string> names;
  for (const auto& shard : shards_) names.push_back(shard.name);
  return names;
}

std::vector<std::string> Cluster::shard_hosts() const {
  std::vector<std::string> hosts;
  for (const auto& shard : shards_) hosts.push_back(shard.host);
  return hosts;
}

Shard& Cluster::add_shard(const std::string& name, const std::string& host) {
  return shards_.emplace_back(Shard{name, host, std::make_unique<Pool>(label_ + " shard " + name, shard_uri(uri_, host, shard_credentials_)), {}});
}

void Cluster::remove_shard(std::size_t number) { shards_.erase(shards_.begin() + static_cast<std::ptrdiff_t>(number)); }

bool Cluster::look_for_shards() {
  if (!sharded_) return false;
  auto client = router_->acquire();
  std::vector<std::string> names, hosts;
  for (auto& [name, host] : list_shards(client)) {
    names.push_back(std::move(name));
    hosts.push_back(std::move(host));
  }
  auto known = shard_names(), asked = names;
  std::sort(known.begin(), known.end());
  std::sort(asked.begin(), asked.end());
  if (known == asked) return false;
  set_shards(names, hosts);
  return true;
}

void Cluster::set_shards(const std::vector<std::string>& names, const std::vector<std::string>& hosts) {
  auto known = std::exchange(shards_, {});
  for (std::size_t n = 0; n < names.size(); ++n) {
    auto it = std::find_if(known.begin(), known.end(), [&](const auto& shard) { return shard.name == names[n]; });
    if (it != known.end()) shards_.push_back(std::move(*it));
    else add_shard(names[n], n < hosts.size() ? hosts[n] : std::string());
  }
}

std::string Cluster::redacted_uri() const { return redact(uri_); }

bool Cluster::same_servers(const Cluster& other) const {
  if (!id_.empty() && id_ == other.id_) return true;
  return std::any_of(shards_.begin(), shards_.end(), [&](const Shard& mine) {
    return std::any_of(other.shards_.begin(), other.shards_.end(), [&](const Shard& theirs) { return !mine.set_id.empty() && mine.set_id == theirs.set_id; });
  });
}

}  // namespace mongotwin::mongo
