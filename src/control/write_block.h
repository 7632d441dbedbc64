// SPDX-License-Identifier: Apache-2.0
// WriteBlock: closes one cluster for the writes of its users, and opens it again: by setUserWriteBlockMode (MongoDB 6.0
// and later), which returns when no user's write is under way any more, or by the operator's hooks. Users with the right
// bypassWriteBlockingMode (roles root and restore) pass it, mongotwin's own among them.
// Owned by one thread; the cluster must outlive it.
#pragma once

#include <chrono>
#include <optional>
#include <stop_token>
#include <string>

#include "mongo/cluster.h"
#include "options/options.h"

namespace mongotwin::control {

class WriteBlock {
 public:
  WriteBlock(mongo::Cluster& cluster, const options::Hooks& hooks, std::string link) : cluster_(cluster), hooks_(hooks), link_(std::move(link)) {}

  // Why it can't be done on this cluster, and what would help; empty if it can. Changes nothing.
  struct Obstacle {
    std::string what, hint;
  };
  [[nodiscard]] std::optional<Obstacle> obstacle();
  // Whether it is closed now; what hooks have done can't be known.
  [[nodiscard]] std::optional<bool> is_closed();
  [[nodiscard]] bool by_hooks() const { return !hooks_.close.empty(); }
  // Both may be called when it is so already. Throw CommandError, or Error(pause) from a hook. The server closes only when no
  // transaction is open: Error(retry) after `at_most` (0: no limit of our own).
  void close(std::stop_token stop, std::chrono::milliseconds at_most = {}) { set(true, at_most, stop); }
  void open(std::stop_token stop) { set(false, {}, stop); }

 private:
  void set(bool closed, std::chrono::milliseconds at_most, std::stop_token stop);
  mongo::Cluster& cluster_;
  const options::Hooks& hooks_;
  const std::string link_;
};

}  // namespace mongotwin::control
