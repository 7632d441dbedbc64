// SPDX-License-Identifier: Apache-2.0
// Preflight: connects to both clusters and finds out whether they can be a pair. Reads only: whatever it says, nothing
// was changed on either cluster. Throws Error(fix_config) with one sentence and a hint.
#pragma once

#include <functional>
#include <memory>
#include <optional>

#include "apply/sharding_rules.h"
#include "checkpoint/checkpoint.h"
#include "mongo/cluster.h"
#include "oplog/namespace_filter.h"
#include "options/options.h"

namespace mongotwin::control {

struct Pair {
  std::unique_ptr<mongo::Cluster> source, target;
  oplog::NamespaceFilter filter;
  std::string namespaces;                            // the filter as text, to tell a changed configuration
  std::optional<checkpoint::Checkpoint> checkpoint;  // of an earlier run of this link
  std::vector<std::string> existing;                 // included namespaces that are on the target, for a first run
  std::vector<std::string> sharded_beforehand;       // of these, empty sharded collections: they stay
  apply::ShardingRules sharding;
  std::vector<std::string> warnings;
  std::vector<std::string> lines;                    // what was found, for `check`
};

// Whether everything that the shard has written from `position` on is in the journal, or still in the shard's oplog.
// Throws Error(resync) if it is not.
void check_history(const mongo::Cluster& source, mongo::Shard& shard, oplog::Timestamp position, const std::string& journal);

// Collections and views of a cluster that are wanted.
[[nodiscard]] std::vector<std::string> namespaces_of(mongo::Cluster& cluster, const std::function<bool(const std::string&)>& wanted);

// What the configuration says of the namespaces, for both ways round.
[[nodiscard]] oplog::NamespaceFilter filter_of(const options::Options& options);
[[nodiscard]] std::string text_of(const options::NamespaceRules& rules);
[[nodiscard]] std::optional<mongo::Credentials> to_mongo(const std::optional<options::Credentials>& c);

// `refused` is called before it throws, where both clusters could be reached.
using Refused = std::function<void(mongo::Cluster& source, mongo::Cluster& target)>;
// Called when both clusters are connected to and the checkpoint is loaded; true: it is to be loaded again.
using Connected = std::function<bool(Pair& pair)>;
[[nodiscard]] Pair preflight(const options::Options& options, const Refused& refused = {}, const Connected& connected = {});

// Connects only: filter, clusters, layout rules and checkpoint, without asking whether it could run.
[[nodiscard]] Pair meet(const options::Options& options);

}  // namespace mongotwin::control
