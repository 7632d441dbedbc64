// SPDX-License-Identifier: Apache-2.0
#include "copy/presplit.h"

#include <algorithm>

#include "base/log.h"
#include "mongo/cursor.h"

namespace mongotwin::copy {
namespace {

constexpr std::size_t kChunksPerShard = 4;

std::vector<bson::Document> chunk_bounds(mongo::Cluster& cluster, const std::string& ns, const oplog::Uuid& uuid) {
  auto client = cluster.router().acquire();
  auto find = bson::Builder();
  // By UUID since 5.0, by name before.
  find.string("find", "chunks").open_document("filter").open_array("$or").open_document("0").uuid("uuid", uuid.view()).close();
  find.open_document("1").string("ns", ns).close().close().close().open_document("sort").int32("min", 1).close();
  std::vector<bson::Document> bounds;
  for (const auto& chunk : mongo::fetch_all(client, "config", find.finish())) bounds.push_back(bson::Document::copy_of(chunk.view().fields("min")));
  if (!bounds.empty()) bounds.erase(bounds.begin());  // the first begins at MinKey
  return bounds;
}

std::vector<bson::Document> choose(const std::vector<bson::Document>& bounds, std::size_t wanted) {
  if (bounds.size() <= wanted) return bounds;
  std::vector<bson::Document> out;
  for (std::size_t n = 0; n < wanted; ++n) out.push_back(bounds[(n + 1) * bounds.size() / (wanted + 1)]);
  return out;
}

bool is_hashed(bson::View key) {
  for (const auto& e : key)
    if (e.string() == "hashed") return true;
  return false;
}

}  // namespace

void presplit(mongo::Cluster& source, mongo::Cluster& target, const std::string& ns, bson::View key, const oplog::Uuid& source_uuid) {
  auto shards = target.shard_names();
  if (shards.size() < 2 || is_hashed(key)) return;
  auto points = choose(chunk_bounds(source, ns, source_uuid), shards.size() * kChunksPerShard - 1);
  auto client = target.patient().acquire();
  std::size_t next = 0;
  for (const auto& point : points) {
    try {
      client.run("admin", bson::Builder().string("split", ns).document("middle", point).finish());
      client.run("admin", bson::Builder().string("moveChunk", ns).document("find", point).string("to", shards[++next % shards.size()]).finish());
    } catch (const mongo::CommandError& e) {
      // Where the chunks lie is a matter of speed only, and the target's own balancer may be moving them as well.
      log::info("copy", "target: {}: not split before the copy at {}: {}", ns, bson::to_json(point), e.what());
    }
  }
}

}  // namespace mongotwin::copy
