// SPDX-License-Identifier: Apache-2.0
// IndexBuildWatch: asks the target about once a second how far its index builds are, while there are any. It only looks:
// whatever is in its way, the builds go on and are counted, and no more is known of them. A thread of its own
// (index.watch) with connections of its own; what is handed in must outlive it.
#pragma once

#include "apply/index_builds.h"
#include "mongo/cluster.h"

namespace mongotwin::apply {

class IndexBuildWatch {
 public:
  IndexBuildWatch(mongo::Cluster& target, IndexBuilds& builds);

 private:
  [[nodiscard]] Step step();
  IndexBuilds& builds_;
  mongo::Pool pool_;  // with little patience: an answer that comes late is of no use
  bool silent_ = false;
  Worker worker_;
};

}  // namespace mongotwin::apply
