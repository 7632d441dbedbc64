// SPDX-License-Identifier: Apache-2.0
#include "mongo/errors.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>

namespace mongotwin::mongo {

bool is_transient(int error_code) {
  static constexpr std::array kTransient = {
      6,      // HostUnreachable
      7,      // HostNotFound
      24,     // LockTimeout
      46,     // LockBusy
      63,     // StaleShardVersion
      64,     // WriteConcernFailed
      70,     // ShardNotFound: the router has not heard of a new shard yet
      75,     // BackgroundOperationInProgressForNamespace
      82,     // NoProgressMade: a router can't learn where documents are while the config servers elect
      89,     // NetworkTimeout
      91,     // ShutdownInProgress
      112,    // WriteConflict
      117,    // ConflictingOperationInProgress
      133,    // FailedToSatisfyReadPreference
      134,    // ReadConcernMajorityNotAvailableYet
      136,    // CappedPositionLost: the reader was overtaken; a new cursor starts at today's oldest
      150,    // StaleEpoch
      175,    // QueryPlanKilled
      43,     // CursorNotFound
      145,    // PooledConnectionsDropped
      189,    // PrimarySteppedDown
      202,    // NetworkInterfaceExceededTimeLimit
      211,    // KeyNotFound: the cluster time's signing keys are not there yet
      215,    // DatabaseDropPending
      216,    // ElectionInProgress
      234,    // RetryChangeStream
      237,    // CursorKilled
      246,    // SnapshotUnavailable
      249,    // StaleDbVersion
      250,    // StaleChunkHistory
      251,    // NoSuchTransaction: an election or a time-out ended it; nothing of it took place
      262,    // ExceededTimeLimit
      272,    // MigrationConflict
      276,    // IndexBuildAborted
      285,    // IndexBuildAlreadyInProgress: an earlier try still runs
      290,    // TransactionExceededLifetimeLimitSeconds
      314,    // ObjectIsBusy
      317,    // ConnectionPoolExpired
      319,    // MovePrimaryInProgress
      338,    // ReshardCollectionInProgress
      343,    // ShardCannotRefreshDueToLocksHeld
      355,    // InterruptedDueToStorageChange
      365,    // TemporarilyUnavailable: the cache is under pressure
      388,    // TransactionTooLargeForCache: one large document fits, beside others it may not
      402,    // ResourceExhausted
      406,    // MigrationBlockingOperationCoordinatorCleaningUp
      407,    // PooledConnectionAcquisitionExceededTimeLimit
      9001,   // SocketException
      10107,  // NotWritablePrimary
      11600,  // InterruptedAtShutdown
      11602,  // InterruptedDueToReplStateChange
      13388,  // StaleConfig
      13435,  // NotPrimaryNoSecondaryOk
      13436,  // NotPrimaryOrSecondary
  };
  return std::find(kTransient.begin(), kTransient.end(), error_code) != kTransient.end();
}

void throw_on_write_errors(const std::string& what, const bson::Document& reply, int fine, const std::string& hint) {
  for (const auto& e : reply.view().fields("writeErrors")) {
    auto error_code = static_cast<int>(e.fields().integer("code").value_or(0));
    if (error_code != 0 && error_code == fine) continue;
    bool passes = is_transient(error_code);
    throw CommandError(passes ? Remedy::retry : Remedy::pause, error_code, false, fmt::format("{}: {} (code {})", what, e.fields().string("errmsg").value_or("?"), error_code), passes ? std::string() : hint, reply);
  }
}

}  // namespace mongotwin::mongo
