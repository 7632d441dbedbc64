// SPDX-License-Identifier: Apache-2.0
// Failover: the source is gone, and the target takes over. Everything that was read is applied up to the last moment that
// is known complete on every shard, so that the target is a state that the source has had; what is known to be lost is
// said. Then the target gets back what was held, and is opened for writes. The checkpoint (phase `failed_over`) keeps the
// cut, and from where the target can be followed: for Rejoin.
// Owned by one thread (drive); what is handed in must outlive it.
#pragma once

#include <functional>
#include <stop_token>
#include <string>
#include <vector>

#include "control/pipeline.h"
#include "control/preflight.h"
#include "control/write_block.h"

namespace mongotwin::control {

class Failover {
 public:
  struct Parts {
    Pair& pair;  // its source need not answer
    const options::Options& options;
    checkpoint::CheckpointStore& store;
    apply::Holds& holds;
    apply::DdlApplier& ddl;
    std::function<void(const std::string& step)> on_step;
    std::function<void()> check;  // throws when the pipeline has failed
  };
  explicit Failover(Parts parts) : p_(std::move(parts)) {}

  struct Report {
    oplog::Timestamp up_to;      // everything that the source had written up to here is on the target
    std::vector<std::string> lines;  // for people: this, and how each shard stands
  };
  // Throws Error(pause) if a shard was silent long before the others, which `force` takes: what the others wrote meanwhile is lost.
  static void demand_even(const mongo::Cluster& source, const std::vector<oplog::Timestamp>& read, bool force);
  // The same if much was read after `complete`, which this process may not apply.
  static void demand_complete(const std::vector<oplog::Timestamp>& read, oplog::Timestamp complete, bool force);
  // The pipeline applies, and has the source's entries in its journal. What fails is gone on with by calling it again, also
  // in a later process. `handover`: the checkpoint's field: what an earlier try, or a switch-over in which the source was
  // lost, has begun.
  Report run(Pipeline& pipeline, bson::View handover, std::stop_token stop);
  // The same where there is nothing to apply: the target stays as it is. `applied`: what is known to be on it.
  Report take_as_it_is(const std::vector<oplog::Timestamp>& applied, const std::string& note, bson::View handover, std::stop_token stop);
  // Where the target may be closed still, although the failover is decided.
  static void open_target(mongo::Cluster& target, const options::Options& options, std::stop_token stop);

 private:
  void step(const char* name);
  void close_target(std::stop_token stop);
  Report conclude(Report report, bson::View handover, std::stop_token stop);
  [[nodiscard]] Report report(oplog::Timestamp up_to, const std::vector<oplog::Timestamp>& applied, const std::vector<oplog::Timestamp>& read) const;
  Parts p_;
};

}  // namespace mongotwin::control
