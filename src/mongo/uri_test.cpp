// SPDX-License-Identifier: Apache-2.0
#include "mongo/uri.h"

#include <gtest/gtest.h>

#include "base/error.h"
#include "mongo/client.h"

namespace mongotwin::mongo {
namespace {

TEST(ShardUriTest, KeepsUserAndOptionsAndTakesTheShardsHosts) {
  EXPECT_EQ(shard_uri("mongodb://u:p%40s@r1:1,r2:2/?tls=true&authSource=admin", "rs0/a:27018,b:27019", {}),
            "mongodb://u:p%40s@a:27018,b:27019/?tls=true&authSource=admin&replicaSet=rs0");
}

TEST(ShardUriTest, LeavesOutWhatConcernsTheRoutersOnly) {
  EXPECT_EQ(shard_uri("mongodb://r/?replicaSet=x&directConnection=true&loadBalanced=false&readPreference=secondary&w=1", "rs0/a:1", {}), "mongodb://a:1/?w=1&replicaSet=rs0");
}

TEST(ShardUriTest, KeepsTheDatabaseThatAUserIsLookedUpIn) {
  EXPECT_EQ(shard_uri("mongodb://u:p@r/users", "rs0/a:1", {}), "mongodb://u:p@a:1/users?replicaSet=rs0");
}

TEST(ShardUriTest, OwnCredentialsReplaceTheClustersAndAreEscaped) {
  EXPECT_EQ(shard_uri("mongodb://u:p@r/?authSource=x", "rs0/a:1", Credentials{"me@", "p:/@%?", "admin"}), "mongodb://me%40:p%3A%2F%40%25%3F@a:1/?replicaSet=rs0&authSource=admin");
}

TEST(ShardUriTest, SrvImpliesTls) {
  EXPECT_EQ(shard_uri("mongodb+srv://u:p@cluster.example/", "rs0/a:1", {}), "mongodb://u:p@a:1/?replicaSet=rs0&tls=true");
  EXPECT_EQ(shard_uri("mongodb+srv://u:p@cluster.example/?tls=false", "rs0/a:1", {}), "mongodb://u:p@a:1/?tls=false&replicaSet=rs0");
}

TEST(DefaultOptionTest, IsAddedOnlyWhereItIsMissing) {
  EXPECT_EQ(with_default_option("mongodb://h", "appName", "x"), "mongodb://h/?appName=x");
  EXPECT_EQ(with_default_option("mongodb://h/db?a=1", "b", "2"), "mongodb://h/db?a=1&b=2");
  EXPECT_EQ(with_default_option("mongodb://h/?APPNAME=y", "appName", "x"), "mongodb://h/?APPNAME=y");
  EXPECT_EQ(with_default_option("mongodb://h/?appNameX=y", "appName", "x"), "mongodb://h/?appNameX=y&appName=x");
}

// What an operator may have forgotten to escape must not come back in the text that says so.
TEST(PoolTest, RefusedUriIsNamedWithoutItsPassword) {
  Driver driver;
  for (std::string uri : {"mongodb://user:sec/ret@h:27017/", "mongodb://user:sec@ret@h:27017/", "mongodb://user:sec%ret@h:27017/", "mongodb://user:sec:ret@h:port/", "mongodb://user:sec?ret@h/",
                          "mongodb://user:sec#ret@h:99999/", "mongodb://user:sec'ret@h:x/", "mongodb://user:sec\"ret@h:x/"}) {
    try {
      Pool pool("source", uri);
    } catch (const Error& e) {
      EXPECT_EQ(std::string(e.what()).find("sec"), std::string::npos) << e.what();
      EXPECT_EQ(std::string(e.what()).find("ret@"), std::string::npos) << e.what();
    }
  }
}

TEST(ErrorsTest, WhatPassesIsTriedAgainAndWhatDoesNotStops) {
  for (int passing : {10107, 189, 13388, 249, 319, 338, 211, 251, 136}) EXPECT_TRUE(is_transient(passing)) << passing;
  for (int lasting : {code::kUnauthorized, code::kDuplicateKey, code::kNamespaceExists, code::kIndexOptionsConflict, 121}) EXPECT_FALSE(is_transient(lasting)) << lasting;
}

}  // namespace
}  // namespace mongotwin::mongo
