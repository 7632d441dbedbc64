// SPDX-License-Identifier: Apache-2.0
// Switchover: the planned change of roles of one pair. run() closes both clusters for their users' writes, applies
// the source's last entry, gives the target what was held back, writes the checkpoint of the other direction on the old
// source, and opens the target. Nothing is lost, and no write is taken on both sides.
//   Up to the decision (that checkpoint, phase `opening`) any trouble puts everything back; after it there is only forward:
// the new source is opened. What is found is saved before it is changed (field `handover` of the checkpoint), so that the
// next start of a dead process does the same: settle().
//   After run() the pair's pipeline has ended: connect and follow anew.
// Owned by one thread (drive); what is handed in must outlive it.
#pragma once

#include <chrono>
#include <functional>
#include <stop_token>
#include <string>
#include <vector>

#include "control/late_writes.h"
#include "control/pipeline.h"
#include "control/preflight.h"
#include "control/write_block.h"
#include "status/commands.h"

namespace mongotwin::control {

class Switchover {
 public:
  struct Parts {
    Pair& pair;
    const options::Options& options;  // as the roles are now
    checkpoint::MongoCheckpointStore& store;
    apply::Holds& holds;
    apply::DdlApplier& ddl;
    std::function<void(const std::string& step)> on_step;
  };
  explicit Switchover(Parts parts);

  // What run() demands; `behind` is the lag. Reads only.
  using Condition = status::Condition;
  [[nodiscard]] static std::vector<Condition> conditions(Pair& pair, const options::Options& options, std::chrono::milliseconds behind);

  struct Outcome {
    std::chrono::milliseconds closed{0};  // from the first refused write to the first one taken
    std::vector<std::string> notes;       // writes that slipped past the block
  };
  // `saved`: of this direction. With the pipeline drained `last_call` brings over what else there is, and `compare` looks
  // whether both are the same; it throws if not. Throws Error; all is as before then, and if not, the text says what is
  // left to do.
  Outcome run(Pipeline& pipeline, const checkpoint::Checkpoint& saved, const std::function<void()>& last_call, const std::function<void()>& compare, std::stop_token stop);

  // For a start, as soon as the clusters are there: ends what a process that is gone has begun, whether that was decided or
  // not. It tries until a stop is requested. True if there was something to do: the checkpoint is to be loaded again.
  [[nodiscard]] static bool settle(Pair& pair, const options::Options& options, std::stop_token stop);

 private:
  using Clock = std::chrono::steady_clock;
  void step(const char* name);
  void close(std::stop_token stop);
  void drain(Pipeline& pipeline, std::stop_token stop);
  void wait_for(Pipeline& pipeline, const std::vector<oplog::Timestamp>& last, std::stop_token stop);
  void give_back(bson::View handover, std::stop_token stop);
  void decide(std::int64_t generation, std::stop_token stop);
  [[nodiscard]] std::string put_back(bson::View handover, std::stop_token stop);
  void complete(std::stop_token stop);
  void open(std::stop_token stop);
  void look_once_more();
  void check_time() const;
  [[nodiscard]] std::chrono::milliseconds time_left() const;
  template <class F>
  void insisting(std::stop_token stop, F&& f);  // tries again on passing trouble as long as there is time

  Parts p_;
  WriteBlock source_block_, target_block_;
  checkpoint::MongoCheckpointStore other_store_;  // on the source
  Clock::time_point begun_{};
  std::optional<Clock::time_point> deadline_;  // while nobody can write and nothing is decided
  bool puts_back_ = false;                     // a stop leaves it some time: who is closed now would stay so until a next start
  std::optional<Clock::time_point> stopping_since_;
  std::vector<oplog::Timestamp> last_, ends_;  // of the source; of the target
  std::string intent_;                         // of this try: a decision that arrives late must not count for another one
  bson::Document held_;                        // on the target, before it was given back
  Outcome outcome_;
};

}  // namespace mongotwin::control
