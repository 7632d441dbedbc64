// SPDX-License-Identifier: Apache-2.0
// Definitions: what the clusters say of their collections and views: options, indexes, shard keys, and how they differ.
// What is held back on the target until finish (apply::Holds), and a layout that the configuration wants otherwise, are
// notes and no differences. list_definitions() reads; compare() is pure.
#pragma once

#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "apply/holds.h"
#include "apply/sharding_rules.h"
#include "mongo/cluster.h"
#include "oplog/namespace_filter.h"

namespace mongotwin::verify {

struct Definition {
  std::string ns, type;  // collection, view, timeseries
  bson::Document options;
  std::map<std::string, bson::Document> indexes;  // by name, ready ones
  std::optional<bson::Document> shard_key;
  bool shard_key_unique = false;
  [[nodiscard]] bool is_view() const { return type == "view"; }
  [[nodiscard]] bool has_documents() const { return type == "collection"; }  // a time series has them in its buckets
  [[nodiscard]] bool is_capped() const { return options["capped"].truthy(); }
  [[nodiscard]] bool is_clustered() const { return static_cast<bool>(options["clusteredIndex"]); }
};
using Definitions = std::map<std::string, Definition>;

// Those for which wanted(ns) holds; system.views and the server's own are left out.
[[nodiscard]] Definitions list_definitions(mongo::Cluster& cluster, const std::function<bool(const std::string&)>& wanted);

struct Finding {
  std::string ns;       // the source's name, also of what is only on the target
  std::string what, way_out;
  bool note = false;    // as it shall be
  bool operator==(const Finding& other) const { return ns == other.ns && what == other.what; }
};

struct Expected {
  const oplog::NamespaceFilter& filter;
  const apply::Holds& holds;
  const apply::ShardingRules& sharding;
  std::vector<std::string> own_layout;  // of the target: sharded beforehand by the operator
  bool source_sharded = false, target_sharded = false;
};
[[nodiscard]] std::vector<Finding> compare(const Definitions& source, const Definitions& target, const Expected& expected);

}  // namespace mongotwin::verify
