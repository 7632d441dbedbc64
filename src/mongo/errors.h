// SPDX-License-Identifier: Apache-2.0
// CommandError: a command that a server refused, or that never got an answer. Its remedy is `retry` for passing
// trouble (network, elections, balancer races) and `pause` otherwise. Immutable.
// Codes: src/mongo/base/error_codes.yml of the server.
#pragma once

#include <string>

#include "base/error.h"
#include "bson/document.h"

namespace mongotwin::mongo {

namespace code {
inline constexpr int kHostUnreachable = 6, kUnauthorized = 13, kAuthenticationFailed = 18, kNamespaceNotFound = 26, kIndexNotFound = 27,
                     kPathNotViable = 28, kCursorNotFound = 43, kNamespaceExists = 48, kMaxTimeMsExpired = 50, kDollarPrefixed = 52,
                     kCommandNotFound = 59, kShardKeyNotFound = 61, kImmutableField = 66, kIndexOptionsConflict = 85, kIndexKeySpecsConflict = 86,
                     kCannotDropShardKeyIndex = 370, kCappedPositionLost = 136, kCommandNotSupportedOnView = 166, kSnapshotTooOld = 239, kSnapshotUnavailable = 246, kQueryPlanKilled = 175, kOplogHistoryLost = 286, kWouldChangeOwningShard = 283,
                     kNoMatchingDocument = 47, kBsonObjectTooLarge = 10334, kCollectionUuidMismatch = 361, kDuplicateKey = 11000;
}

class CommandError : public Error {
 public:
  CommandError(Remedy remedy, int error_code, bool network, std::string what, std::string hint = {}, bson::Document reply = {})
      : Error(remedy, std::move(what), std::move(hint)), code_(error_code), network_(network), reply_(std::move(reply)) {}
  [[nodiscard]] int code() const { return code_; }
  // No answer came: the command may or may not have taken place.
  [[nodiscard]] bool network() const { return network_; }
  [[nodiscard]] const bson::Document& reply() const { return reply_; }

 private:
  int code_;
  bool network_;
  bson::Document reply_;
};

// Codes that a replica set or a mongos gives while it changes: waiting and trying again is right.
[[nodiscard]] bool is_transient(int error_code);

// For what a reply says of single writes: a router reports a shard without a primary there, under ok: 1. Throws a
// CommandError that begins with `what` for the first of them whose code is not `fine`.
void throw_on_write_errors(const std::string& what, const bson::Document& reply, int fine = 0, const std::string& hint = {});

}  // namespace mongotwin::mongo
