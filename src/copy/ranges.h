// SPDX-License-Identifier: Apache-2.0
// Range: a piece of one collection that is copied as a whole. cut() plans the ranges of a collection; which way it is
// read is chosen by sampling where the configuration leaves it open. Pure functions with reads; thread-safe.
#pragma once

#include <optional>
#include <stop_token>
#include <vector>

#include "mongo/cluster.h"
#include "source/catalog_reader.h"

namespace mongotwin::copy {

struct Size {
  std::uint64_t documents = 0, bytes = 0;
};

// How far one shard has been read in natural order. Record numbers are a member's own.
struct NaturalPosition {
  std::string member;                  // "host:port" and when it got its data
  std::string version;                 // of the collection's place, which tells whether documents have moved
  std::int64_t end = 0;                // record number of the last document that was there at the beginning
  std::vector<bson::Document> tokens;  // the server's resume tokens, oldest first; the newest one's record may be deleted
};

struct Range {
  enum class By {
    id,       // documents from min to max in the order of _id, on all shards
    natural,  // one shard's documents as they are stored, one after the other on disk, up to those that came later
    order,    // all documents in natural order, written in it: capped collections; clustered ones of servers before 6.0
  };
  std::size_t collection = 0;               // index into the copy's list
  By by = By::id;
  std::optional<bson::Document> min, max;   // {_id: …}; min is included, max is not, but for By::order
  bool only_min = false;                  // the one document at min
  oplog::ShardIndex shard = 0;              // natural
  std::optional<NaturalPosition> from;      // natural: where an earlier run was
  bool begun = false;                       // by an earlier run: some of it may be on the target
};

// Of a capped collection, the last document that was copied.
struct LastCopied {
  bson::Document id;          // {_id: …}
  oplog::Timestamp was_there;  // the source had it by then; 0: not known
};

enum class Reading { automatic, natural, id };

// An estimate: orphans count too.
[[nodiscard]] Size estimate(mongo::Cluster& source, const source::SourceCollection& collection);

struct Cutting {
  Size size;
  std::uint64_t range_bytes = 0;
  Reading reading = Reading::automatic;
  std::vector<oplog::Timestamp> not_before;  // per shard: no member may answer with an older state; empty: no matter
};
// None if it is known to be empty: what comes later is in the oplog.
[[nodiscard]] std::vector<Range> cut(mongo::Cluster& source, const source::SourceCollection& collection, std::size_t index, const Cutting& cutting, std::stop_token stop);

}  // namespace mongotwin::copy
