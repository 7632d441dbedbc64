// SPDX-License-Identifier: Apache-2.0
// MemberState: how late a state of its data a member can answer with. A secondary may be behind what was read elsewhere,
// and so may a new primary's view of what is committed. Not by afterClusterTime: such a read waits for every prepared
// transaction, which the copy would wait for, too. Pure functions; thread-safe.
#pragma once

#include <stop_token>

#include "mongo/client.h"
#include "oplog/entry.h"

namespace mongotwin::source {

// Remedy: retry; another member may have what this one has not.
class MemberIsBehind final : public mongo::CommandError {
 public:
  explicit MemberIsBehind(const std::string& what) : CommandError(Remedy::retry, 0, false, what, "check that the member replicates") {}
};

// Returns when majority reads of the member show everything up to `position`; throws MemberIsBehind where that takes
// long. `leader`, which has seen that position, moves the clock of a shard that has nothing to write; none in a replica set.
void await_state(mongo::Client& client, std::uint32_t server, oplog::Timestamp position, mongo::Client* leader, std::stop_token stop);

}  // namespace mongotwin::source
