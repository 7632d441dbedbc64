// SPDX-License-Identifier: Apache-2.0
// Pre-splitting: a new sharded collection gets chunks on every shard of the target before its first document, cut where
// the source's chunks are, so that all shards take writes from the beginning. Hashed keys come split by the server.
// Pure function with commands to the target; thread-safe.
#pragma once

#include "mongo/cluster.h"
#include "oplog/entry.h"

namespace mongotwin::copy {

// Only for a collection that is empty and has the source's key.
void presplit(mongo::Cluster& source, mongo::Cluster& target, const std::string& ns, bson::View key, const oplog::Uuid& source_uuid);

}  // namespace mongotwin::copy
