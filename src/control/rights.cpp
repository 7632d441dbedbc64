// SPDX-License-Identifier: Apache-2.0
#include "control/rights.h"

#include <fmt/format.h>

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

void demand(mongo::Client& client, const std::string& database, std::initializer_list<const char*> actions, const char* roles) {
  auto user = user_of(client);
  if (user.name.empty()) return;
  for (const auto* action : actions)
    if (!allows(user.privileges, database, action))
      throw Error(Remedy::fix_config, fmt::format("{}: the user {} lacks the right \"{}\" on {}", client.label(), user.name, action, database.empty() ? "the cluster" : "database " + database), fmt::format("grant the roles {} (docs/rights.md)", roles));
}

constexpr const char* kSourceRoles = "backup and clusterMonitor";
constexpr const char* kTargetRoles = "restore, readWriteAnyDatabase, dbAdminAnyDatabase and clusterMonitor";

}  // namespace

bool allows(bson::View privileges, const std::string& database, const std::string& action) {
  for (const auto& e : privileges) {
    auto resource = e.fields().fields("resource");
    bool fits = resource["anyResource"].truthy();
    if (database.empty()) fits |= resource["cluster"].truthy();
    else if (auto db = resource.string("db")) fits |= (db->empty() || *db == database) && resource.string("collection") == "";
    if (!fits) continue;
    for (const auto& a : e.fields().fields("actions"))
      if (a.string() == action || a.string() == "anyAction") return true;
  }
  return false;
}

void check_rights(mongo::Cluster& source, mongo::Cluster& target) {
  for (auto& shard : source.shards()) {
    auto client = shard.pool->acquire();
    demand(client, "local", {"find"}, kSourceRoles);
    demand(client, "config", {"find"}, kSourceRoles);
    demand(client, "", {"listDatabases", "useUUID"}, kSourceRoles);
    if (source.shards().size() > 1) demand(client, "", {"appendOplogNote"}, kSourceRoles);
  }
  auto client = target.router().acquire();
  demand(client, "mongotwin", {"find", "insert", "update", "remove", "createCollection", "createIndex", "dropCollection", "dropIndex", "collMod", "bypassDocumentValidation"}, kTargetRoles);
}

}  // namespace mongotwin::control
