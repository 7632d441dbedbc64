// SPDX-License-Identifier: Apache-2.0
// Pre-splitting: a new sharded collection gets chunks on every shard of the target before its first document, in
// proportion to the source's documents, so that all shards take writes from the beginning and keep equal parts. Keys
// that begin hashed and have no zones come split by the server. Thread-safe.
#pragma once

#include "apply/sharding_rules.h"
#include "copy/ranges.h"
#include "copy/zones.h"
#include "mongo/cluster.h"
#include "source/catalog_reader.h"

namespace mongotwin::copy {

// Only for a collection that is empty on the target and sharded by `by` there. Its zones on the target, which must be
// set already, are kept to. May be called again after it broke off.
void presplit(mongo::Cluster& source, mongo::Cluster& target, const source::SourceCollection& from, const std::string& ns, const apply::ShardKey& by);

// The target's shards but those that are being drained.
[[nodiscard]] std::vector<std::string> shards_to_fill(mongo::Cluster& target);

// By the collection's name, of all shards; nothing if it is gone, or a view has its name now.
[[nodiscard]] Size size_of(mongo::Cluster& source, const std::string& ns);

}  // namespace mongotwin::copy
