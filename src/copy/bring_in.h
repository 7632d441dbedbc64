// SPDX-License-Identifier: Apache-2.0
// bring_in: copies one collection that a rename has brought into the filter, as it was at a given moment, while the
// pipeline stands at a barrier. The source still has that moment for some minutes (a snapshot read). Thread-safe.
#pragma once

#include "apply/ddl_applier.h"
#include "copy/collection_copy.h"

namespace mongotwin::copy {

struct BringIn {
  std::string database;  // of the source
  oplog::Uuid uuid;
  std::string target_ns;
  oplog::Timestamp at;
  // The operations from `at` on are applied exactly: the collection must not have been redefined since then.
  bool exact = true;
  bool consistent = true;  // unique indexes may be built at once
};

// May be called again after it broke off. Throws Error(resync) if that moment, or the collection, is gone.
void bring_in(mongo::Cluster& source, mongo::Cluster& target, apply::TargetLayout& layout, apply::DdlApplier& ddl, const BringIn& what,
              const WaitReport& report, std::stop_token stop);

}  // namespace mongotwin::copy
