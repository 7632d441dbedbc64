// SPDX-License-Identifier: Apache-2.0
#include "control/rights.h"

#include <fmt/format.h>

#include <vector>

namespace mongotwin::control {
namespace {

struct User {
  std::string name;  // empty: authentication is off
  bson::Document privileges;
};

User user_of(mongo::Client& client) {
  auto reply = client.run("admin", bson::Builder().int32("connectionStatus", 1).boolean("showPrivileges", true).finish());
  auto info = reply.view().fields("authInfo");
  User user;
  auto users = info.fields("authenticatedUsers");
  if (users.empty()) return user;
  auto first = users.begin()->fields();
  user.name = fmt::format("{}@{}", first.string("user").value_or("?"), first.string("db").value_or("?"));
  user.privileges = bson::Document::copy_of(info.fields("authenticatedUserPrivileges"));
  return user;
}

using Actions = std::vector<const char*>;

void demand(mongo::Client& client, const User& user, const std::string& database, const Actions& actions, const char* roles) {
  if (user.name.empty()) return;
  for (const auto* action : actions)
    if (!allows(user.privileges, database, action))
      throw Error(Remedy::fix_config, fmt::format("{}: the user {} lacks the right \"{}\" on {}", client.label(), user.name, action, database.empty() ? "the cluster" : "database " + database), fmt::format("grant the roles {} (docs/rights.md)", roles));
}

void demand(mongo::Client& client, const std::string& database, const Actions& actions, const char* roles) { demand(client, user_of(client), database, actions, roles); }

void demand_on_all(mongo::Client client, const std::set<std::string>& databases, const Actions& actions, const char* roles) {
  auto user = user_of(client);
  for (const auto& database : databases) demand(client, user, database, actions, roles);
}

constexpr const char* kSourceRoles = "backup and clusterMonitor";
constexpr const char* kTargetRoles = "restore, readWriteAnyDatabase and clusterMonitor";
constexpr const char* kShardingRoles = "restore, readWriteAnyDatabase, clusterMonitor and enableSharding";

}  // namespace

bool allows(bson::View privileges, const std::string& database, const std::string& action, const std::string& collection) {
  for (const auto& e : privileges) {
    auto resource = e.fields().fields("resource");
    bool fits = resource["anyResource"].truthy();
    // What is given on every database does not hold on these two.
    bool of_server = database == "config" || database == "local";
    if (database.empty()) fits |= resource["cluster"].truthy();
    else if (auto db = resource.string("db")) fits |= ((db->empty() && !of_server) || *db == database) && resource.string("collection") == collection;
    if (!fits) continue;
    for (const auto& a : e.fields().fields("actions"))
      if (a.string() == action || a.string() == "anyAction") return true;
  }
  return false;
}

bool may(mongo::Cluster& cluster, const std::string& database, const std::string& action) {
  auto client = cluster.router().acquire();
  auto user = user_of(client);
  return user.name.empty() || allows(user.privileges, database, action);
}

void check_rights(mongo::Cluster& source, mongo::Cluster& target) {
  for (auto& shard : source.shards()) {
    auto client = shard.pool->acquire();
    demand(client, "local", {"find"}, kSourceRoles);
    demand(client, "config", {"find"}, kSourceRoles);
    demand(client, "", {"listDatabases", "useUUID", "serverStatus"}, kSourceRoles);
    demand(client, "", {"appendOplogNote"}, kSourceRoles);
  }
  demand_on_all(target.router().acquire(), {"mongotwin"}, {"find", "insert", "update", "remove", "createCollection"}, kTargetRoles);
}

void check_rights_on_users(mongo::Cluster& source, mongo::Cluster& target) {
  auto demand_there = [](mongo::Client client, const Actions& actions, const char* role) {
    auto user = user_of(client);
    for (const auto* collection : {"system.users", "system.roles"})
      for (const auto* action : actions) {
        if (user.name.empty() || allows(user.privileges, "admin", action, collection)) continue;
        throw Error(Remedy::fix_config, fmt::format("{}: the user {} lacks the right \"{}\" on admin.{}, which copy_users needs", client.label(), user.name, action, collection),
                    fmt::format("grant the role {} (docs/rights.md), or leave copy_users out", role));
      }
  };
  demand_there(source.router().acquire(), {"find"}, "backup");
  demand_there(target.router().acquire(), {"find"}, "backup");
  demand_on_all(target.router().acquire(), {"admin"}, {"createRole", "grantRole", "revokeRole", "dropRole", "dropUser"}, "restore");
}

void check_rights_on(mongo::Cluster& source, mongo::Cluster& target, const std::set<std::string>& databases, const std::set<std::string>& databases_on_target, bool shards) {
  static const Actions kRead{"find", "listCollections", "listIndexes", "collStats"};
  demand_on_all(source.router().acquire(), databases, kRead, kSourceRoles);
  for (auto& shard : source.shards()) demand_on_all(shard.pool->acquire(), databases, kRead, kSourceRoles);
  demand_on_all(target.router().acquire(), databases_on_target,
                {"find", "insert", "update", "remove", "createCollection", "createIndex", "dropCollection", "dropIndex", "collMod", "renameCollectionSameDB", "bypassDocumentValidation"}, kTargetRoles);
  if (shards) demand_on_all(target.router().acquire(), databases_on_target, {"enableSharding"}, kShardingRoles);
}

}  // namespace mongotwin::control
