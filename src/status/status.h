// SPDX-License-Identifier: Apache-2.0
// Status: one immutable snapshot of the whole replication; the only source for the API, the terminal and the logs.
// StatusBoard hands the newest snapshot to readers. Thread-safe.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/annotations.h"
#include "bson/view.h"
#include "status/commands.h"

namespace mongotwin::status {

enum class State { starting, copying, catching_up, replicating, paused, finishing, finished, failed_over, failed };
[[nodiscard]] const char* to_string(State state);
[[nodiscard]] std::optional<State> state_from(std::string_view name);

// Law of positions, per source shard: checkpointed ≤ applied ≤ planned ≤ read.
struct ShardPositions {
  bson::Timestamp read, planned, applied, checkpointed;
};

struct CollectionProgress {
  std::string ns;
  std::uint64_t documents_total = 0, documents_done = 0;  // total is an estimate, never below done
  std::uint64_t bytes_total = 0, bytes_done = 0;
  bool done = false;
};

struct CopyProgress {
  std::uint64_t documents_total = 0, documents_done = 0, bytes_total = 0, bytes_done = 0;
  std::uint64_t ranges_total = 0, ranges_done = 0;
  std::uint64_t indexes_total = 0, indexes_done = 0;
  double documents_per_second = 0, bytes_per_second = 0;  // over the last seconds; 0 when nothing is copied
  std::optional<std::uint64_t> eta_s;                     // of the documents
  std::vector<CollectionProgress> collections;
};

// One that runs on the target now. It passes through phases, each of which counts from 0.
struct IndexBuild {
  std::string ns;
  std::vector<std::string> indexes;  // names
  std::string phase;                 // in words; empty where the target does not say it
  std::optional<std::uint64_t> done, total;
};

struct OpsProgress {
  std::uint64_t read = 0;     // oplog entries read
  std::uint64_t applied = 0;  // operations applied on the target
  double per_second = 0;      // applied, over the last few seconds
  std::map<std::string, std::uint64_t> by_kind;  // insert, update, delete, ddl, transaction
};

// What has been read and is not yet applied and saved, on disk.
struct JournalInfo {
  std::uint64_t bytes = 0, bytes_max = 0;
  std::optional<std::int64_t> age_s;  // of its oldest entry
  bool full = false;                  // reading waits for room
};

struct ClusterInfo {
  std::string uri;      // redacted
  std::string kind;     // "sharded" or "replica set"
  std::string version;  // "6.0.5"
  std::vector<std::string> shards;
};

struct Failure {
  std::string what, hint, remedy;
};

// A change of roles: under way, or how the last one of this process ended.
struct Handover {
  std::string kind;                        // "switchover", "failover" or "rejoin"
  std::string step;                        // what it is doing; empty when it is over
  std::optional<bool> succeeded;           // known when it is over
  std::optional<std::int64_t> closed_ms;   // for how long nobody could write
  std::optional<bson::Timestamp> up_to;    // failover: everything that the source had written up to here is there
  std::string error;                       // why it was given up
  std::vector<std::string> notes;          // what the operator should know of it
  std::uint64_t number = 0;                // of this process
};

struct Status {
  std::string link;
  State state = State::starting;
  std::string detail;  // what it is doing or waiting for right now, in words
  ClusterInfo source, target;
  std::optional<std::int64_t> lag_ms;  // unknown before the copy has ended
  std::map<std::string, ShardPositions> positions;
  JournalInfo journal;
  Throttles throttle;
  CopyProgress copy;
  std::vector<IndexBuild> index_builds;
  OpsProgress ops;
  std::optional<Verification> verification;  // without its lists
  std::vector<std::string> warnings;
  std::optional<Failure> error;
  bool roles_swapped = false;  // source and target are not what the configuration calls them
  std::optional<Handover> handover;
};

class StatusBoard {
 public:
  [[nodiscard]] std::shared_ptr<const Status> get() const {
    Lock lock(m_);
    return status_;
  }
  void set(Status status) {
    auto next = std::make_shared<const Status>(std::move(status));
    Lock lock(m_);
    status_ = std::move(next);
  }

 private:
  mutable Mutex m_;
  std::shared_ptr<const Status> status_ GUARDED_BY(m_) = std::make_shared<const Status>();
};

}  // namespace mongotwin::status
