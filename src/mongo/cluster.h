// SPDX-License-Identifier: Apache-2.0
// Cluster: what a URI leads to: a sharded cluster through a mongos, or a replica set, with the shards behind it.
// A replica set is its own and only shard. Immutable after connect() but for its pools and for what
// has_shards() and the two after it change, with nobody else looking; else thread-safe.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "mongo/client.h"
#include "mongo/uri.h"

namespace mongotwin::mongo {

struct Shard {
  std::string name, host;
  std::unique_ptr<Pool> pool;  // direct connections to its members
  std::string set_id;          // the replica set's own id, the same on all its members
};

// What tells a cluster from others, wherever it is reached: Cluster::id(). Throws CommandError.
[[nodiscard]] std::string id_of(Pool& router);

class Cluster {
 public:
  // `label` is "source" or "target". Throws Error: unreachable, wrong password, a standalone server, a shard given
  // in place of its cluster, a shard's members out of reach.
  static std::unique_ptr<Cluster> connect(const std::string& label, const std::string& uri, const std::optional<Credentials>& shard_credentials);

  // A cluster that is not asked anything: only what it is called. It has no pools.
  static std::unique_ptr<Cluster> silent(const std::string& label, const std::string& id, const std::vector<std::string>& shards, bool sharded);

  [[nodiscard]] Pool& router() { return *router_; }        // a mongos, or the replica set itself
  [[nodiscard]] Pool& patient() { return *patient_; }      // the same for DDL: an index build may take hours
  [[nodiscard]] bool sharded() const { return sharded_; }
  [[nodiscard]] const std::string& version() const { return version_; }
  [[nodiscard]] int major() const { return major_; }
  [[nodiscard]] const std::string& feature_version() const { return feature_version_; }
  [[nodiscard]] std::vector<Shard>& shards() { return shards_; }
  [[nodiscard]] std::vector<std::string> shard_names() const;
  [[nodiscard]] std::vector<std::string> shard_hosts() const;
  [[nodiscard]] const std::string& id() const { return id_; }  // tells clusters apart
  [[nodiscard]] const std::string& label() const { return label_; }
  [[nodiscard]] std::string redacted_uri() const;
  // Its shards shall be these, in this order, whatever it said itself when it was connected to.
  void set_shards(const std::vector<std::string>& names, const std::vector<std::string>& hosts);
  Shard& add_shard(const std::string& name, const std::string& host);
  void remove_shard(std::size_t number);
  // Asks the cluster anew which shards it has; true if they are others than before. Throws CommandError.
  bool look_for_shards();
  [[nodiscard]] bool same_servers(const Cluster& other) const;

 private:
  void look_at(const std::string& uri);
  void find_shards(const std::string& uri, const std::optional<Credentials>& credentials);
  std::optional<Credentials> shard_credentials_;
  std::string label_, version_, feature_version_, id_, uri_;
  int major_ = 0;
  bool sharded_ = false;
  std::unique_ptr<Pool> router_, patient_;
  std::vector<Shard> shards_;
};

}  // namespace mongotwin::mongo
