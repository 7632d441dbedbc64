// SPDX-License-Identifier: Apache-2.0
#include "copy/presplit.h"

#include <algorithm>

#include "base/log.h"
#include "copy/chunks.h"
#include "copy/sampling.h"
#include "mongo/cursor.h"

namespace mongotwin::copy {
namespace {

constexpr std::size_t kChunksPerShard = 4, kSamplesPerChunk = 64;
constexpr std::size_t kSamplesLeast = 2'000, kSamplesMost = 20'000;  // the least keeps a shard's part within a few percent
constexpr std::uint64_t kChunkBytesLeast = 16u << 20;  // a move takes longer than writing less than that

std::pair<std::string, std::string> split(const std::string& ns) {
  auto dot = ns.find('.');
  return {ns.substr(0, dot), ns.substr(dot + 1)};
}

std::vector<bson::Document> chunks_of(mongo::Cluster& cluster, const std::string& ns, const bson::Element& uuid) {
  auto client = cluster.router().acquire();
  auto find = bson::Builder();
  // By UUID since 5.0, by name before.
  find.string("find", "chunks").open_document("filter").open_array("$or");
  if (uuid) find.open_document("0").value("uuid", uuid).close();
  find.open_document("1").string("ns", ns).close().close().close().open_document("sort").int32("min", 1).close();
  return mongo::fetch_all(client, "config", find.finish());
}

bson::Document entry_of(mongo::Cluster& cluster, const std::string& ns) {
  auto client = cluster.router().acquire();
  auto found = mongo::fetch_all(client, "config", bson::Builder().string("find", "collections").open_document("filter").string("_id", ns).close().finish());
  return found.empty() ? bson::Document() : found.front();
}

// The fields before the first hashed one: what a server can sort documents by.
std::vector<std::string> sorted_fields(bson::View key) {
  std::vector<std::string> out;
  for (const auto& field : key) {
    if (field.string() == "hashed") break;
    out.emplace_back(field.key());
  }
  return out;
}

// A missing field counts as null, as it does for the server's shard keys.
void append_value(bson::Builder& b, const std::string& name, const std::string& field) { b.open_document(name).open_array("$ifNull").string("0", "$" + field).null("1").close().close(); }

// Arrays are compared element by element, over all types: how many bounds are not above the document's key.
void append_segment(bson::Builder& b, bson::View key, const std::vector<std::string>& fields, const std::vector<bson::Document>& bounds) {
  b.open_document("segment").open_document("$size").open_document("$filter").open_document("input").open_array("$literal");
  for (std::size_t n = 0; n < bounds.size(); ++n) {
    b.open_array(std::to_string(n));
    std::size_t k = 0;
    for (const auto& value : bounds[n]) b.value(std::to_string(k++), value);
    b.close();
  }
  b.close().close().open_document("cond").open_array("$lte").string("0", "$$this").open_array("1");
  std::size_t n = 0;
  for (const auto& field : key) {
    auto name = std::to_string(n);
    if (n < fields.size()) append_value(b, name, std::string(field.key()));
    else b.open_document(name).int64("$literal", 0).close();  // some hash: bounds on hashes are met about
    ++n;
  }
  b.close().close().close().close().close().close();
}

std::vector<Sample> sample(mongo::Cluster& source, const std::string& ns, bson::View key, const std::vector<bson::Document>& bounds, std::size_t count) {
  auto [database, name] = split(ns);
  auto fields = sorted_fields(key);
  auto client = source.router().acquire();
  auto documents = sampled(client, database, count, [&](bson::Builder& b, std::size_t now) {
    b.string("aggregate", name).open_array("pipeline").open_document("0").open_document("$sample").int64("size", static_cast<std::int64_t>(now)).close().close();
    b.open_document("1").open_document("$project").int32("_id", 0);
    for (std::size_t n = 0; n < fields.size(); ++n) append_value(b, "k" + std::to_string(n), fields[n]);
    b.open_document("bytes").string("$bsonSize", "$$ROOT").close();
    if (!bounds.empty()) append_segment(b, key, fields, bounds);
    b.close().close().open_document("2").open_document("$sort");
    for (std::size_t n = 0; n < fields.size(); ++n) b.int32("k" + std::to_string(n), 1);
    b.close().close().close().open_document("collation").string("locale", "simple").close().boolean("allowDiskUse", true).open_document("cursor").close();
  });
  std::vector<Sample> out;
  for (const auto& doc : documents) {
    Sample s;
    for (std::size_t n = 0; n < fields.size(); ++n) s.values.push_back(bson::Builder().value("", doc["k" + std::to_string(n)]).finish());
    s.bytes = static_cast<std::uint64_t>(doc["bytes"].integer().value_or(1));
    s.segment = static_cast<std::size_t>(doc["segment"].integer().value_or(0));
    out.push_back(std::move(s));
  }
  return out;
}

// Before, in and after each zone; a segment whose zone is empty may lie on any shard.
std::vector<Segment> segments_of(bson::View key, const std::vector<ZoneRange>& ranges, const std::map<std::string, std::vector<std::string>>& zone_shards, const std::vector<std::string>& all) {
  std::vector<Segment> out = {{edge_of(key, false), all}};
  auto begin = [&](const bson::Document& min, const std::vector<std::string>& shards) {
    if (out.back().min == min) out.back().shards = shards;
    else out.push_back({min, shards});
  };
  for (const auto& range : ranges) {
    auto zone = zone_shards.find(range.zone);
    auto shards = zone == zone_shards.end() ? std::vector<std::string>() : zone->second;
    std::erase_if(shards, [&](const auto& shard) { return std::find(all.begin(), all.end(), shard) == all.end(); });
    begin(range.min, shards.empty() ? all : shards);
    if (!(range.max == edge_of(key, true))) begin(range.max, all);
  }
  return out;
}

// An empty collection of the source tells where documents are expected by its chunks.
std::vector<Chunk> cut_as_source(mongo::Cluster& source, const source::SourceCollection& from, std::size_t wanted) {
  std::vector<Chunk> all, out;
  auto entry = entry_of(source, from.ns);
  for (const auto& chunk : chunks_of(source, from.ns, entry["uuid"])) all.push_back({bson::Document::copy_of(chunk.view().fields("min")), 0, 1, {}});
  for (std::size_t n = 0; n < std::min(wanted, all.size()); ++n) out.push_back(all[n * all.size() / std::min(wanted, all.size())]);
  return out;
}

// What keeps a chunk from where it was planned is a matter of speed only. Returns the first such trouble, or empty.
std::string place(mongo::Cluster& target, const std::string& ns, bson::View key, const std::vector<Chunk>& chunks) {
  auto entry = entry_of(target, ns);
  std::map<std::string, std::string> owner;  // by the bytes of the lower bound
  auto look = [&] {
    owner.clear();
    for (const auto& chunk : chunks_of(target, ns, entry["uuid"])) owner[std::string(chunk.view().fields("min").bytes())] = chunk.view().string("shard").value_or("");
  };
  std::string trouble;
  auto client = target.patient().acquire();
  auto run = [&](const bson::Document& command) {
    try {
      client.run("admin", command);
    } catch (const mongo::CommandError& e) {
      if (e.network()) throw;
      if (trouble.empty()) trouble = e.what();
    }
  };
  look();
  for (const auto& chunk : chunks)
    if (!owner.contains(std::string(chunk.min.view().bytes()))) run(bson::Builder().string("split", ns).document("middle", chunk.min).finish());
  look();
  for (std::size_t n = 0; n < chunks.size(); ++n) {
    if (owner[std::string(chunks[n].min.view().bytes())] == chunks[n].shard) continue;
    auto max = n + 1 < chunks.size() ? chunks[n + 1].min : edge_of(key, true);
    run(bson::Builder().string("moveChunk", ns).open_array("bounds").document("0", chunks[n].min).document("1", max).close().string("to", chunks[n].shard).finish());
  }
  return trouble;
}

}  // namespace

std::vector<std::string> shards_to_fill(mongo::Cluster& target) {
  auto client = target.router().acquire();
  std::vector<std::string> out;
  for (const auto& doc : mongo::fetch_all(client, "config", bson::Builder().string("find", "shards").open_document("sort").int32("_id", 1).close().finish()))
    if (!doc["draining"].truthy()) out.emplace_back(doc.view().string("_id").value_or(""));
  return out;
}

Size size_of(mongo::Cluster& source, const std::string& ns) {
  auto [database, name] = split(ns);
  auto client = source.router().acquire();
  try {
    auto stats = client.run(database, bson::Builder().string("collStats", name).finish());
    return {static_cast<std::uint64_t>(stats["count"].integer().value_or(0)), static_cast<std::uint64_t>(stats["size"].integer().value_or(0))};
  } catch (const mongo::CommandError& e) {
    if (e.code() == mongo::code::kNamespaceNotFound || e.code() == mongo::code::kCommandNotSupportedOnView) return {};
    throw;
  }
}

void presplit(mongo::Cluster& source, mongo::Cluster& target, const source::SourceCollection& from, const std::string& ns, const apply::ShardKey& by) {
  auto shards = shards_to_fill(target);
  if ((shards.size() < 2 && !by.chunks) || shards.empty()) return;
  auto zones = read_zones(target);
  auto segments = segments_of(by.key, zones.ranges[ns], zones.shards, shards);
  bool by_hash = apply::begins_hashed(by.key);
  if (by_hash && segments.size() == 1) return;
  auto most = shards.size() * kChunksPerShard;
  auto size = size_of(source, from.ns);
  // Between zones it takes small pieces to be fair.
  auto least = segments.size() > 1 ? most : shards.size();
  auto wanted = by.chunks ? static_cast<std::size_t>(*by.chunks) : std::clamp<std::size_t>(size.bytes / kChunkBytesLeast, least, most);
  std::vector<bson::Document> bounds;
  for (std::size_t n = 1; n < segments.size(); ++n) bounds.push_back(segments[n].min);
  auto count = std::clamp(wanted * kSamplesPerChunk, kSamplesLeast, kSamplesMost);
  auto samples = by_hash ? even_hashes(segments, count) : sample(source, from.ns, by.key, bounds, samples_of(size, from.shards.size(), count));
  auto chunks = cut(by.key, samples, segments, wanted);
  if (samples.empty() && bounds.empty() && from.shard_key && apply::same_key(*from.shard_key, by.key))
    chunks = cut_as_source(source, from, by.chunks ? wanted : most);
  if (chunks.size() < 2) return;
  spread(chunks, segments);
  auto trouble = place(target, ns, by.key, chunks);
  if (trouble.empty()) log::info("copy", "target: {}: {} chunks on {} shards before its first document", ns, chunks.size(), shards.size());
  else log::warn("copy", "target: {}: not all of its {} chunks are where they were planned before its first document: {}", ns, chunks.size(), trouble);
}

}  // namespace mongotwin::copy
