// SPDX-License-Identifier: Apache-2.0
#include "copy/chunks.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <utility>

namespace mongotwin::copy {
namespace {

const bson::Document& edges() {
  static const auto kEdges = bson::Document::from_json(R"({"min": {"$minKey": 1}, "max": {"$maxKey": 1}})");
  return kEdges;
}

// `part` of all the values that a hash may have, from 0 to below 1.
std::int64_t hash_at(double part) { return static_cast<std::int64_t>(std::ldexp(part - 0.5, 64)); }

bson::Document point(bson::View key, const Sample& sample, double part_of_equals) {
  bson::Builder b;
  std::size_t n = 0;
  bool hashed = false;
  for (const auto& field : key) {
    if (n < sample.values.size()) b.value(field.key(), *sample.values[n].begin());
    else if (!std::exchange(hashed, true) && field.string() == "hashed" && part_of_equals > 0) b.int64(field.key(), hash_at(part_of_equals));
    else b.value(field.key(), edges()["min"]);
    ++n;
  }
  return b.finish();
}

}  // namespace

bson::Document edge_of(bson::View key, bool max) {
  bson::Builder b;
  for (const auto& field : key) b.value(field.key(), edges()[max ? "max" : "min"]);
  return b.finish();
}

std::vector<Sample> even_hashes(const std::vector<Segment>& segments, std::size_t count) {
  std::vector<Sample> out;
  std::size_t segment = 0;
  for (std::size_t n = 0; n < count; ++n) {
    auto hash = hash_at((static_cast<double>(n) + 0.5) / static_cast<double>(count));
    // A bound is a number, or MinKey or MaxKey.
    auto begins = [&](const Segment& s) {
      auto first = *s.min.begin();
      return first.type() == bson::Type::MinKey || (first.type() != bson::Type::MaxKey && first.integer().value_or(0) <= hash);
    };
    while (segment + 1 < segments.size() && begins(segments[segment + 1])) ++segment;
    out.push_back({{bson::Builder().int64("", hash).finish()}, 1, segment});
  }
  return out;
}

std::vector<Chunk> cut(bson::View key, const std::vector<Sample>& samples, const std::vector<Segment>& segments, std::size_t wanted) {
  std::uint64_t total = 0;
  std::vector<std::uint64_t> of_segment(segments.size());
  for (const auto& s : samples) {
    total += s.bytes;
    of_segment[s.segment] += s.bytes;
  }
  bool hashed = false;
  for (const auto& field : key) hashed |= field.string() == "hashed";
  std::vector<Chunk> out;
  std::size_t next = 0;
  for (std::size_t n = 0; n < segments.size(); ++n) {
    out.push_back({segments[n].min, n, 0, {}});
    auto share = total == 0 ? 0.0 : static_cast<double>(of_segment[n]) / static_cast<double>(total);
    auto parts = std::max<std::uint64_t>(1, static_cast<std::uint64_t>(std::lround(share * static_cast<double>(wanted))));
    std::uint64_t seen = 0, cuts = 0;
    std::size_t equals = next;  // where the run of values like this one's begins
    std::uint64_t equals_bytes = 0;
    auto end = next;
    while (end < samples.size() && samples[end].segment == n) ++end;
    for (auto at = next; at < end; ++at) {
      const auto& s = samples[at];
      if (s.values != samples[equals].values) {
        equals = at;
        equals_bytes = 0;
      }
      // The sample before this one has filled its chunk.
      if (cuts + 1 < parts && seen * parts >= of_segment[n] * (cuts + 1)) {
        while (cuts + 1 < parts && seen * parts >= of_segment[n] * (cuts + 1)) ++cuts;
        auto equals_end = at;
        while (equals_end < end && samples[equals_end].values == s.values) ++equals_end;
        auto min = point(key, s, static_cast<double>(at - equals) / static_cast<double>(equals_end - equals));
        if (!(min == out.back().min)) {
          // Equal values can't be parted but by a hash: those before this one come along.
          auto along = hashed ? 0 : equals_bytes;
          out.back().bytes -= along;
          out.push_back({min, n, along, {}});
        }
      }
      out.back().bytes += s.bytes;
      equals_bytes += s.bytes;
      seen += s.bytes;
    }
    next = end;
  }
  return out;
}

void spread(std::vector<Chunk>& chunks, const std::vector<Segment>& segments) {
  std::vector<Chunk*> order;
  for (auto& chunk : chunks) order.push_back(&chunk);
  std::stable_sort(order.begin(), order.end(), [&](const auto* a, const auto* b) { return segments[a->segment].shards.size() < segments[b->segment].shards.size(); });
  std::map<std::string, std::uint64_t> given;
  for (auto* chunk : order) {
    const auto& shards = segments[chunk->segment].shards;
    chunk->shard = *std::min_element(shards.begin(), shards.end(), [&](const auto& a, const auto& b) { return given[a] < given[b]; });
    given[chunk->shard] += std::max<std::uint64_t>(chunk->bytes, 1);
  }
}

}  // namespace mongotwin::copy
