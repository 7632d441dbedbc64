// SPDX-License-Identifier: Apache-2.0
// TargetLayout: the target's shard keys, read from its config.collections and read again when DDL or a refusal says
// that they may have changed. Thread-safe. The Pool must outlive it.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "base/annotations.h"
#include "mongo/client.h"

namespace mongotwin::apply {

class TargetLayout {
 public:
  // `sharded`: false for a replica set, which has no shard keys.
  TargetLayout(mongo::Pool& pool, bool sharded) : pool_(pool), sharded_(sharded) {}
  void refresh();
  [[nodiscard]] std::vector<std::string> shard_key(const std::string& ns) const;
  [[nodiscard]] bool sharded() const { return sharded_; }

 private:
  mongo::Pool& pool_;
  const bool sharded_;
  mutable Mutex m_;
  std::map<std::string, std::vector<std::string>> keys_ GUARDED_BY(m_);
};

}  // namespace mongotwin::apply
