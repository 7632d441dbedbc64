// SPDX-License-Identifier: Apache-2.0
// BalancerHold: keeps the balancers of both clusters still while the copy needs it, and puts them back as they were
// found. What it found is saved before it is changed, so that the next start can put back what a dead one held.
// hold() from one thread, the others from any. What is handed in must outlive it.
#pragma once

#include <functional>
#include <map>
#include <stop_token>
#include <string>
#include <vector>

#include "base/annotations.h"
#include "checkpoint/store.h"
#include "control/wait_board.h"
#include "mongo/cluster.h"

namespace mongotwin::control {

class BalancerHold {
 public:
  // `saved`: the checkpoint's field `balancers`. `warn` gets what the operator should know.
  BalancerHold(mongo::Cluster& source, mongo::Cluster& target, checkpoint::CheckpointStore& store, WaitBoard& waits, std::function<void(std::string)> warn, bson::View saved);

  // Returns when no balancer moves chunks any more, or on a stop request. A balancer that is off already stays out of
  // this, as does one that was turned on again while it was held, and one that the user may not stop. Throws
  // CommandError on trouble; may be called again. Needs a checkpoint of the link to save to.
  void hold(std::stop_token stop);
  // Puts back what hold() changed, in this run or in one that died; else does nothing. Throws CommandError; may be called again.
  void release();
  // The clusters whose balancer is held now, by label.
  [[nodiscard]] std::vector<std::string> held() const;

 private:
  enum class Stage { found, stopped };  // that it is on; and it was stopped since
  void hold(mongo::Cluster& cluster, std::stop_token stop);
  // `asked` is set when the balancer has been told.
  void stop_and_wait(mongo::Cluster& cluster, std::stop_token stop, bool& asked);
  void save();
  std::vector<mongo::Cluster*> clusters_;
  checkpoint::CheckpointStore& store_;
  WaitBoard& waits_;
  std::function<void(std::string)> warn_;
  Mutex releasing_;
  mutable Mutex m_;
  std::map<std::string, Stage> on_ GUARDED_BY(m_);  // by label: those that were on when they were found
};

}  // namespace mongotwin::control
