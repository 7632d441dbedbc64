// SPDX-License-Identifier: Apache-2.0
// Side: one of the two clusters as a verification reads it: through its router, and at one moment of its history where
// the server can (snapshot reads of 5.0 and later), else as it is. Each call takes a connection of its own.
// read_at() by one thread; else thread-safe. The Cluster must outlive it.
#pragma once

#include <optional>
#include <vector>

#include "mongo/cluster.h"
#include "verify/digest.h"

namespace mongotwin::verify {

struct Place {
  std::string database, name;
  bool clustered = false;  // no index on _id: the collection itself is in its order
};
[[nodiscard]] Place place_of(const std::string& ns, bool clustered);

struct IdRange {
  std::optional<bson::Document> after, up_to;  // {_id: …}; `after` itself is not in it, `up_to` is
};

struct Listed {
  bson::Document id;  // {_id: …}
  std::uint64_t hash = 0, more = 0, bytes = 0;
};

class Side {
 public:
  explicit Side(mongo::Cluster& cluster) : cluster_(cluster) {}
  [[nodiscard]] static bool has_snapshots(const mongo::Cluster& cluster) { return cluster.major() >= 5; }
  void read_at(std::optional<bson::Timestamp> time) { at_ = time; }
  // A time at which everything that was written before this call, and acknowledged, can be read.
  [[nodiscard]] bson::Timestamp now();

  // The `count`th _id behind range.after; nothing if the range ends before.
  [[nodiscard]] std::optional<bson::Document> bound(const Place& place, const IdRange& range, std::uint64_t count);
  [[nodiscard]] Digest digest(const Place& place, const IdRange& range);
  // Each document's fingerprint: the server's, or a hash of its bytes taken here. At most `most` and one more.
  [[nodiscard]] std::vector<Listed> list(const Place& place, const IdRange& range, bool bytes, std::size_t most);
  [[nodiscard]] std::vector<bson::Document> fetch(const Place& place, const std::vector<bson::Document>& ids);
  // Hashes of a capped collection's documents in their order, as it is; with their _ids if asked.
  [[nodiscard]] std::vector<Listed> list_in_order(const Place& place);
  [[nodiscard]] std::optional<bson::Document> newest(const Place& place);  // of a capped collection
  [[nodiscard]] std::uint64_t count(const Place& place);                    // exactly
  [[nodiscard]] std::optional<bson::Document> sample(const Place& place);   // {_id: …} of any document

  struct Size {
    std::uint64_t documents = 0, bytes = 0;
  };
  [[nodiscard]] Size estimate(const Place& place);
  [[nodiscard]] mongo::Cluster& cluster() { return cluster_; }

 private:
  void append_read_concern(bson::Builder& b) const;
  [[nodiscard]] bson::Document bound_over_shards(const Place& place, const IdRange& range, std::uint64_t count) const;
  [[nodiscard]] bson::Document bound_in_a_set(const Place& place, const IdRange& range, std::uint64_t count) const;
  [[nodiscard]] bson::Builder aggregate(const Place& place, const IdRange& range) const;
  void finish_aggregate(bson::Builder& b, const Place& place) const;

  mongo::Cluster& cluster_;
  std::optional<bson::Timestamp> at_;
};

}  // namespace mongotwin::verify
