// SPDX-License-Identifier: Apache-2.0
// CollectionPlace: where a collection of the source can be read at this moment: under which name and UUID, on which
// shards, and what each of them owns. Between two moments of the same version() no document has changed its owner, which
// makes it right to read the shards one after the other. Pure functions; thread-safe.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "mongo/cluster.h"
#include "source/ownership.h"

namespace mongotwin::source {

struct CollectionPlace {
  std::string database, name;
  oplog::Uuid uuid;
  std::vector<oplog::ShardIndex> shards;        // to be read
  std::shared_ptr<const Ownership> ownership;   // none: all that the only shard has is the collection
  oplog::Timestamp as_of;                       // whatever moved here before was moved by then: no older state may be read
  std::string version;                          // empty in a replica set
  bool through_router = false;                  // it is (also) on a shard that the Cluster does not know yet
};

// By its UUID, or else by its name: movePrimary and resharding give the same name another UUID. If it was dropped and
// created again instead, the catch-up drops whatever is copied now and replays the new one. Nothing: it is gone. Throws
// CommandError(retry) if it may have moved while it was looked for.
[[nodiscard]] std::optional<CollectionPlace> find_place(mongo::Cluster& source, mongo::Client& router, const std::string& ns, const oplog::Uuid& uuid);

// What find_place would say of the version now.
[[nodiscard]] std::string version_now(mongo::Cluster& source, mongo::Client& router, const CollectionPlace& place);

}  // namespace mongotwin::source
