// SPDX-License-Identifier: Apache-2.0
// Chunks: how an empty sharded collection is cut before its documents come, so that every shard of the target gets its
// part of them from the beginning. Pure: nothing here orders values, samples come sorted by a server.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "bson/document.h"

namespace mongotwin::copy {

// A document of the source, in the order of the target's shard key.
struct Sample {
  std::vector<bson::Document> values;  // {"": value} of each key field before a hashed one; or its hash if that is the first
  std::uint64_t bytes = 0;
  std::size_t segment = 0;
};

// What lies between two bounds of zones; without zones there is one segment.
struct Segment {
  bson::Document min;                // a full shard key
  std::vector<std::string> shards;   // that it may lie on
};

struct Chunk {
  bson::Document min;
  std::size_t segment = 0;
  std::uint64_t bytes = 0;  // of the samples in it
  std::string shard;
};

// The key with `$minKey` (or `$maxKey`) in every field.
[[nodiscard]] bson::Document edge_of(bson::View key, bool max);

// For a key that begins hashed: `count` values evenly over all that a hash may be, as samples of one byte.
[[nodiscard]] std::vector<Sample> even_hashes(const std::vector<Segment>& segments, std::size_t count);

// About `wanted` chunks of equal bytes; every segment begins one. Within equal values a hashed field is cut into equal
// parts of what hashes may be.
[[nodiscard]] std::vector<Chunk> cut(bson::View key, const std::vector<Sample>& samples, const std::vector<Segment>& segments, std::size_t wanted);

// Gives every chunk to the shard that has the fewest bytes so far of those its segment may lie on; those with the least
// choice first, else in order.
void spread(std::vector<Chunk>& chunks, const std::vector<Segment>& segments);

}  // namespace mongotwin::copy
