// SPDX-License-Identifier: Apache-2.0
#include "control/rights.h"

#include <gtest/gtest.h>

namespace mongotwin::control {
namespace {

// As connectionStatus gives them.
bool allowed(const char* privileges, const std::string& database, const std::string& action, const std::string& collection = {}) {
  auto document = bson::Document::from_json(std::string("{\"p\": [") + privileges + "]}");
  return allows(document.view().fields("p"), database, action, collection);
}

TEST(RightsTest, RightOnAllDatabasesHoldsForEach) {
  auto all = R"({"resource": {"db": "", "collection": ""}, "actions": ["find", "insert"]})";
  EXPECT_TRUE(allowed(all, "shop", "insert"));
  EXPECT_FALSE(allowed(all, "shop", "remove"));
  EXPECT_FALSE(allowed(all, "", "find")) << "a right on databases is none on the cluster";
  EXPECT_FALSE(allowed(all, "config", "find")) << "the server asks for more on its own databases";
  EXPECT_FALSE(allowed(all, "local", "find"));
  EXPECT_TRUE(allowed(R"({"resource": {"db": "config", "collection": ""}, "actions": ["update"]})", "config", "update"));
}

TEST(RightsTest, RightOnOneDatabaseHoldsThereOnly) {
  auto one = R"({"resource": {"db": "shop", "collection": ""}, "actions": ["find"]})";
  EXPECT_TRUE(allowed(one, "shop", "find"));
  EXPECT_FALSE(allowed(one, "crm", "find"));
}

TEST(RightsTest, RightOnOneCollectionIsNotEnough) {
  EXPECT_FALSE(allowed(R"({"resource": {"db": "shop", "collection": "orders"}, "actions": ["find"]})", "shop", "find"));
  EXPECT_FALSE(allowed(R"({"resource": {"db": "", "collection": "system.js"}, "actions": ["find"]})", "shop", "find"));
  EXPECT_TRUE(allowed(R"({"resource": {"db": "admin", "collection": "system.users"}, "actions": ["find"]})", "admin", "find", "system.users"));
  EXPECT_FALSE(allowed(R"({"resource": {"db": "", "collection": ""}, "actions": ["find"]})", "admin", "find", "system.users"));
  EXPECT_FALSE(allowed(R"({"resource": {"db": "admin", "collection": "system.roles"}, "actions": ["find"]})", "admin", "find", "system.users"));
  EXPECT_FALSE(allowed(R"({"resource": {"system_buckets": ""}, "actions": ["find"]})", "shop", "find"));
}

TEST(RightsTest, ClusterRightIsOneOnTheCluster) {
  auto cluster = R"({"resource": {"cluster": true}, "actions": ["appendOplogNote"]})";
  EXPECT_TRUE(allowed(cluster, "", "appendOplogNote"));
  EXPECT_FALSE(allowed(cluster, "", "useUUID"));
  EXPECT_FALSE(allowed(cluster, "shop", "appendOplogNote"));
}

TEST(RightsTest, RightsMayComeFromSeveralPrivileges) {
  auto two = R"({"resource": {"db": "", "collection": ""}, "actions": ["find"]}, {"resource": {"anyResource": true}, "actions": ["listCollections"]})";
  EXPECT_TRUE(allowed(two, "shop", "find"));
  EXPECT_TRUE(allowed(two, "shop", "listCollections"));
}

TEST(RightsTest, AnyActionOnAnyResourceIsEverything) {
  auto root = R"({"resource": {"anyResource": true}, "actions": ["anyAction"]})";
  EXPECT_TRUE(allowed(root, "shop", "remove"));
  EXPECT_TRUE(allowed(root, "", "appendOplogNote"));
}

TEST(RightsTest, NoPrivilegesAllowNothing) { EXPECT_FALSE(allowed("", "shop", "find")); }

}  // namespace
}  // namespace mongotwin::control
