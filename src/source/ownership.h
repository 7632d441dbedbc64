// SPDX-License-Identifier: Apache-2.0
// ShardKey: a shard key pattern: the key of a document, and hashes as hashed indexes have them.
// Ownership: which shard owns which documents of a sharded collection, by its chunks of one moment. What a shard has and
// does not own is an orphan: left by a migration, or on its way.
// Both are immutable after they were made, thread-safe, and own what they hold.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "bson/document.h"
#include "oplog/entry.h"

namespace mongotwin::source {

// The 64-bit hash of a value in a hashed index. Throws Error where OpenSSL has no MD5. `missing` values count as null.
[[nodiscard]] std::int64_t hash_of(const bson::Element& value);

class ShardKey {
 public:
  explicit ShardKey(bson::View pattern);
  struct Part {
    std::string path;
    bool hashed = false;
  };
  [[nodiscard]] const std::vector<Part>& parts() const { return parts_; }
  // By its _id alone, plain or hashed: then no two shards can own documents of one _id.
  [[nodiscard]] bool is_id() const { return parts_.size() == 1 && parts_.front().path == "_id"; }
  // Before, at or behind the document's key: <0, 0, >0.
  class Value {
   public:
    Value(const ShardKey& key, bson::View document);
    [[nodiscard]] int compare_to(bson::View bound) const;

   private:
    struct Field {
      bson::Element element;
      std::optional<std::int64_t> hash;
    };
    std::vector<Field> fields_;
  };

 private:
  std::vector<Part> parts_;
};

class Ownership {
 public:
  struct Chunk {
    bson::Document min;
    oplog::ShardIndex shard;
  };
  // `chunks` in their order, without a gap: each reaches to the next one's min, the last to the end.
  Ownership(bson::View key_pattern, std::vector<Chunk> chunks);
  [[nodiscard]] const ShardKey& key() const { return key_; }
  [[nodiscard]] oplog::ShardIndex owner_of(bson::View document) const;
  [[nodiscard]] const std::vector<oplog::ShardIndex>& shards() const { return shards_; }  // that own a chunk, in order

 private:
  const ShardKey key_;
  std::vector<Chunk> chunks_;  // neighbours of one shard are one
  std::vector<oplog::ShardIndex> shards_;
};

}  // namespace mongotwin::source
