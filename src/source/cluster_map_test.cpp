// SPDX-License-Identifier: Apache-2.0
// Metadata as MongoDB 8.0 writes them after moveCollection (its own description: config.collections, "unsplittable").
#include "source/cluster_map.h"

#include <gtest/gtest.h>

namespace mongotwin::source {
namespace {

bson::Document doc(const std::string& json) { return bson::Document::from_json(json); }

std::string uuid_json(int n) { return R"({"$binary": {"base64": "AAAAAAAAAAAAAAAAAAAA)" + std::string(1, static_cast<char>('A' + n)) + R"(A==", "subType": "04"}})"; }
oplog::Uuid uuid(int n) { return *oplog::Uuid::from(doc(R"({"u": )" + uuid_json(n) + "}")["u"]); }

enum { kSharded, kMoved, kTrackedOnPrimary, kUntracked };

ClusterMap map() {
  std::vector<bson::Document> collections{
      doc(R"({"_id": "shop.orders", "key": {"k": 1}, "unique": false, "uuid": )" + uuid_json(kSharded) + "}"),
      doc(R"({"_id": "shop.moved", "key": {"_id": 1}, "unique": false, "unsplittable": true, "uuid": )" + uuid_json(kMoved) + "}"),
      doc(R"({"_id": "shop.stayed", "key": {"_id": 1}, "unique": false, "unsplittable": true, "uuid": )" + uuid_json(kTrackedOnPrimary) + "}")};
  std::vector<bson::Document> chunks{doc(R"({"min": {"_id": {"$minKey": 1}}, "max": {"_id": {"$maxKey": 1}}, "shard": "second", "uuid": )" + uuid_json(kMoved) + "}"),
                                     doc(R"({"min": {"_id": {"$minKey": 1}}, "max": {"_id": {"$maxKey": 1}}, "shard": "first", "uuid": )" + uuid_json(kTrackedOnPrimary) + "}")};
  return {collections, chunks, {doc(R"({"_id": "shop", "primary": "first"})")}};
}

TEST(ClusterMap, AnUnshardedCollectionIsWhereItWasPut) {
  EXPECT_TRUE(map().is_real_on("second", uuid(kMoved), "shop"));
  EXPECT_FALSE(map().is_real_on("first", uuid(kMoved), "shop"));
  EXPECT_TRUE(map().is_real_on("first", uuid(kTrackedOnPrimary), "shop"));
  EXPECT_FALSE(map().is_real_on("second", uuid(kTrackedOnPrimary), "shop"));
}

TEST(ClusterMap, OrOnThePrimaryOfItsDatabase) {
  EXPECT_TRUE(map().is_real_on("first", uuid(kUntracked), "shop"));
  EXPECT_FALSE(map().is_real_on("second", uuid(kUntracked), "shop"));
  EXPECT_FALSE(map().is_real_on("first", uuid(kUntracked), "other"));
}

TEST(ClusterMap, AShardedOneIsOnEveryShardThatHasIt) {
  EXPECT_TRUE(map().is_real_on("first", uuid(kSharded), "shop"));
  EXPECT_TRUE(map().is_real_on("second", uuid(kSharded), "shop"));
  ASSERT_NE(map().sharded(uuid(kSharded)), nullptr);
  EXPECT_EQ(map().sharded(uuid(kMoved)), nullptr) << "its key is no shard key";
}

TEST(ClusterMap, NeedsTheChunksOfUnsplittableOnes) {
  EXPECT_FALSE(chunks_needed({doc(R"({"_id": "shop.orders", "key": {"k": 1}, "uuid": )" + uuid_json(kSharded) + "}")}));
  auto needed = chunks_needed({doc(R"({"_id": "shop.moved", "unsplittable": true, "uuid": )" + uuid_json(kMoved) + "}")});
  ASSERT_TRUE(needed);
  EXPECT_EQ(needed->view().fields("uuid").fields("$in").begin()->uuid(), std::string(uuid(kMoved).view()));
}

}  // namespace
}  // namespace mongotwin::source
