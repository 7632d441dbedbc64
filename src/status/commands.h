// SPDX-License-Identifier: Apache-2.0
// Commands: what an operator can ask of a running replication. Implemented by the Replicator, called by the API.
// Thread-safe. A refused command throws Error(pause) that says why.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "status/verification.h"

namespace mongotwin::status {

// 0 stops that work until it is changed.
struct Throttles {
  std::optional<std::uint64_t> copy_bytes, operations;  // a second; empty: no limit
  int copiers = 0, lanes = 0;                           // how many work at once, kWorkersMax at most
  std::optional<std::uint64_t> verify_bytes;            // a second, read from the source by a verification
  bool operator==(const Throttles&) const = default;
};

// What a change of roles demands.
struct Condition {
  enum class Kind { fine, warning, refused };
  Kind kind = Kind::fine;
  std::string what;  // what was found, or what is wrong
  std::string hint;
};

[[nodiscard]] constexpr const char* to_string(Condition::Kind kind) { return kind == Condition::Kind::fine ? "fine" : kind == Condition::Kind::warning ? "warning" : "refused"; }

class Commands {
 public:
  virtual ~Commands() = default;
  virtual void pause() = 0;   // stop applying at a cut; reading goes on as far as the journal holds
  virtual void resume() = 0;
  virtual void finish() = 0;  // drain what the source has now, restore what was held back, stop following
  virtual void throttle(const Throttles& throttles) = 0;  // holds at once, until the next start
  [[nodiscard]] virtual Throttles throttles() const = 0;
  // Source and target change their roles. Returns what it demands; without `dry_run` and when nothing is refused it has
  // been asked for: the status tells how it goes on.
  [[nodiscard]] virtual std::vector<Condition> switch_over(bool dry_run) = 0;
  // The source is gone: the target takes over. `force`: although it answers, or a shard was silent long before the others.
  virtual void fail_over(bool force) = 0;
  // After a failover: the old source becomes the follower. `may_copy`: also where only a new copy helps.
  virtual void rejoin(bool may_copy) = 0;
  // Compares both clusters beside the replication; one at a time.
  virtual void verify(const VerifyRequest& request) = 0;
  virtual void cancel_verification() = 0;
  [[nodiscard]] virtual std::optional<Verification> verification() const = 0;  // under way, or the last one
  [[nodiscard]] virtual VerifyRequest usual_verification() const = 0;          // what the configuration says of them
};

}  // namespace mongotwin::status
