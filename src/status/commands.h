// SPDX-License-Identifier: Apache-2.0
// Commands: what an operator can ask of a running replication. Implemented by the Replicator, called by the API.
// Thread-safe. A refused command throws Error(pause) that says why.
#pragma once

#include <cstdint>
#include <optional>

namespace mongotwin::status {

// 0 stops that work until it is changed.
struct Throttles {
  std::optional<std::uint64_t> copy_bytes, operations;  // a second; empty: no limit
  int copiers = 0, lanes = 0;                           // how many work at once, kWorkersMax at most
  bool operator==(const Throttles&) const = default;
};

class Commands {
 public:
  virtual ~Commands() = default;
  virtual void pause() = 0;   // stop applying at a cut; reading goes on as far as the journal holds
  virtual void resume() = 0;
  virtual void finish() = 0;  // drain what the source has now, restore what was held back, stop following
  virtual void throttle(const Throttles& throttles) = 0;  // holds at once, until the next start
  [[nodiscard]] virtual Throttles throttles() const = 0;
};

}  // namespace mongotwin::status
