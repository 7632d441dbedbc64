// SPDX-License-Identifier: Apache-2.0
#include "copy/chunks.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <map>

namespace mongotwin::copy {
namespace {

bson::Document json(const std::string& text) { return bson::Document::from_json(text); }

Sample sample(const std::string& value, std::uint64_t bytes = 1, std::size_t segment = 0) { return {{json(fmt::format(R"({{"": {}}})", value))}, bytes, segment}; }

std::vector<Sample> numbers(int count) {
  std::vector<Sample> out;
  for (int n = 0; n < count; ++n) out.push_back(sample(std::to_string(n)));
  return out;
}

std::vector<std::string> bounds(const std::vector<Chunk>& chunks) {
  std::vector<std::string> out;
  for (const auto& c : chunks) out.push_back(bson::to_json(c.min));
  return out;
}

const bson::Document kKey = json(R"({"a": 1})");

std::vector<Segment> everything(bson::View key, std::vector<std::string> shards = {"x", "y"}) { return {{edge_of(key, false), std::move(shards)}}; }

TEST(Chunks, quantiles_of_what_is_there) {
  auto chunks = cut(kKey, numbers(100), everything(kKey), 4);
  EXPECT_EQ(bounds(chunks), (std::vector<std::string>{R"({ "a" : { "$minKey" : 1 } })", R"({ "a" : 25 })", R"({ "a" : 50 })", R"({ "a" : 75 })"}));
  for (const auto& c : chunks) EXPECT_EQ(c.bytes, 25u);
}

TEST(Chunks, by_bytes_and_not_by_documents) {
  auto samples = numbers(100);
  samples[90].bytes = 300;  // one document as heavy as three quarters of all the bytes
  auto chunks = cut(kKey, samples, everything(kKey), 4);
  EXPECT_EQ(bounds(chunks), (std::vector<std::string>{R"({ "a" : { "$minKey" : 1 } })", R"({ "a" : 91 })"}));
  EXPECT_EQ(chunks[1].bytes, 9u);
}

TEST(Chunks, equal_values_stay_together) {
  std::vector<Sample> samples;
  for (int n = 0; n < 60; ++n) samples.push_back(sample("\"A\""));
  for (int n = 0; n < 40; ++n) samples.push_back(sample("\"B\""));
  auto chunks = cut(kKey, samples, everything(kKey), 10);
  ASSERT_EQ(chunks.size(), 3u);
  EXPECT_EQ(chunks[0].bytes, 0u);
  EXPECT_EQ(chunks[1].bytes, 60u);
  EXPECT_EQ(chunks[2].bytes, 40u);
  spread(chunks, everything(kKey));
  EXPECT_NE(chunks[1].shard, chunks[2].shard);
}

TEST(Chunks, a_hashed_field_parts_equal_values) {
  auto key = json(R"({"a": 1, "h": "hashed", "z": 1})");
  std::vector<Sample> samples;
  for (int n = 0; n < 100; ++n) samples.push_back(sample("7"));
  auto chunks = cut(key, samples, everything(key), 4);
  ASSERT_EQ(chunks.size(), 4u);
  EXPECT_EQ(chunks[1].min["h"].integer(), -(1ll << 62));
  EXPECT_EQ(chunks[2].min["h"].integer(), 0);
  EXPECT_EQ(chunks[3].min["h"].integer(), 1ll << 62);
  EXPECT_EQ(chunks[2].min["z"].type(), bson::Type::MinKey);
  for (const auto& c : chunks) EXPECT_EQ(c.bytes, 25u);
}

TEST(Chunks, every_segment_is_cut_by_its_share_and_stays_on_its_shards) {
  std::vector<Segment> segments = {{edge_of(kKey, false), {"x", "y", "z"}}, {json(R"({"a": 50})"), {"z"}}, {json(R"({"a": 60})"), {"x", "y", "z"}}};
  auto samples = numbers(100);
  for (std::size_t n = 0; n < samples.size(); ++n) samples[n].segment = n < 50 ? 0 : n < 60 ? 1 : 2;
  auto chunks = cut(kKey, samples, segments, 10);
  ASSERT_EQ(chunks.size(), 10u);
  spread(chunks, segments);
  std::map<std::string, std::uint64_t> bytes;
  for (const auto& c : chunks) {
    bytes[c.shard] += c.bytes;
    if (c.segment == 1) { EXPECT_EQ(c.shard, "z"); }
  }
  for (const auto& [shard, n] : bytes) EXPECT_NEAR(static_cast<double>(n), 33.3, 7.1) << shard;
}

TEST(Chunks, hashes_are_even_in_every_zone) {
  auto key = json(R"({"h": "hashed"})");
  std::vector<Segment> segments = {{edge_of(key, false), {"x", "y"}}, {json(R"({"h": {"$numberLong": "0"}})"), {"z"}}};
  auto chunks = cut(key, even_hashes(segments, 400), segments, 4);
  ASSERT_EQ(chunks.size(), 4u);
  spread(chunks, segments);
  EXPECT_LT(std::abs(*chunks[1].min["h"].integer() + (1ll << 62)), 1ll << 55);
  EXPECT_EQ(chunks[2].min["h"].integer(), 0);
  EXPECT_NE(chunks[0].shard, chunks[1].shard);
  EXPECT_EQ(chunks[2].shard + chunks[3].shard, "zz");
}

TEST(Chunks, without_samples_a_chunk_a_segment) {
  std::vector<Segment> segments = {{edge_of(kKey, false), {"x"}}, {json(R"({"a": 50})"), {"y"}}};
  EXPECT_EQ(cut(kKey, {}, segments, 10).size(), 2u);
}

TEST(Chunks, all_shards_take_turns_when_all_are_alike) {
  auto chunks = cut(kKey, numbers(800), everything(kKey, {"x", "y", "z"}), 12);
  spread(chunks, everything(kKey, {"x", "y", "z"}));
  std::map<std::string, int> count;
  for (const auto& c : chunks) ++count[c.shard];
  EXPECT_EQ(count, (std::map<std::string, int>{{"x", 4}, {"y", 4}, {"z", 4}}));
}

}  // namespace
}  // namespace mongotwin::copy
