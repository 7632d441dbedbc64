// SPDX-License-Identifier: Apache-2.0
// CheckpointStore: one of the five seams: the replication's memory on the target, one document a link in
// mongotwin.checkpoints. save() merges the given top-level fields into it at once: what belongs together goes into one
// call. Thread-safe but for claim().
// Fields: phase, source_id, namespaces, shards, hosts, positions, resume, awaited, catalog, listed_up_to, held, copy_planned, created,
// emptied, users, balancers, generation, handover, other_way, intent, notes, failure, owner, saved_at.
#pragma once

#include <optional>
#include <string>

#include "base/annotations.h"
#include "mongo/client.h"

namespace mongotwin::checkpoint {

inline constexpr const char* kDatabase = "mongotwin";
inline constexpr const char* kCollection = "checkpoints";

class CheckpointStore {
 public:
  virtual ~CheckpointStore() = default;
  [[nodiscard]] virtual std::optional<bson::Document> load() = 0;
  virtual void save(bson::View fields) = 0;
  virtual void remove() = 0;
};

class MongoCheckpointStore final : public CheckpointStore {
 public:
  MongoCheckpointStore(mongo::Pool& target, std::string link) : pool_(target), link_(std::move(link)) {}
  [[nodiscard]] std::optional<bson::Document> load() override;
  // Throws as demand_own() does.
  void save(bson::View fields) override;
  // From here on only this process may save: two that follow one pair would each apply what the other one has written.
  void claim();
  // Throws Error(pause) when another process has claimed the document since.
  void demand_own();
  // Only if the document is there and its field `intent` is this; else false and nothing is changed, also when the
  // command arrives late.
  [[nodiscard]] bool save_if(const std::string& intent, bson::View fields);
  void remove() override;

 private:
  std::int64_t update(bson::View query, bson::View fields, bool upsert);
  mongo::Pool& pool_;
  std::string link_;
  std::string owner_;  // empty: it asks nobody
};

}  // namespace mongotwin::checkpoint
