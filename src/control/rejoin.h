// SPDX-License-Identifier: Apache-2.0
// Rejoin: takes the old source in again after a failover, as the follower of the cluster that has taken over. What it
// wrote beyond the cut is looked up in its oplog, the documents are saved to a file and brought to what the new source has;
// then it follows from the moment of the failover, without a copy. Where its oplog or the new source's does not reach back
// so far, or it has changed definitions beyond the cut, only a new copy helps, which must be allowed; the file comes first.
// Owned by one thread (drive); what is handed in must outlive it.
#pragma once

#include <functional>
#include <map>
#include <set>
#include <stop_token>
#include <string>
#include <vector>

#include "apply/mongo_writer.h"
#include "control/preflight.h"
#include "control/write_block.h"

namespace mongotwin::control {

class Rejoin {
 public:
  struct Parts {
    Pair& pair;  // as before the failover: `source` is the old source
    const options::Options& options;
    const checkpoint::Checkpoint& saved;  // phase failed_over
    checkpoint::CheckpointStore& store;
    std::function<void(const std::string& step)> on_step;
  };
  explicit Rejoin(Parts parts);

  struct Report {
    std::vector<std::string> lines;   // what was found beyond the cut and where it is saved; why it begins with a new copy
  };
  // Throws Error(pause), with nothing changed but that the old source is closed for writes, when only a copy helps and
  // `may_copy` is false. Broken off, another one goes on. Afterwards the pair is to be connected to anew.
  Report run(bool may_copy, std::stop_token stop);

 private:
  struct Touched {
    std::string op;                   // of the last operation
    oplog::Timestamp ts;
    bson::Document key;               // {_id: …}
  };
  using Documents = std::map<std::string, std::map<std::string, Touched>>;  // by the source's namespace and the _id's bytes
  void step(const char* name);
  // The cluster's shard of each of these names, in their order. Throws Error(resync) if it has others.
  [[nodiscard]] static std::vector<mongo::Shard*> by_name(mongo::Cluster& cluster, const std::vector<std::string>& names);
  void look(mongo::Shard& shard, oplog::Timestamp cut, oplog::Timestamp resume);
  void look_beyond_the_cut(bool may_copy, std::stop_token stop);
  void look_at_shards();
  void follow_rename(const std::string& from, const std::string& to);
  void demand_copy(const Error& why);
  void demand_no_rename(mongo::Shard& shard, oplog::Timestamp since);
  void take(const std::string& shard, bson::View entry);
  void demand_no_capped();
  void save_file(std::stop_token stop);
  [[nodiscard]] std::string new_file() const;
  void write_file(const std::string& path, std::stop_token stop);
  void bring_back(std::stop_token stop);
  void bring_back_some(const std::string& ns, const std::vector<bson::Document>& keys, const apply::TargetLayout& layout);
  void insert_alone(const std::string& ns, apply::MongoWriter& writer, const bson::Document& document, std::vector<bson::Document>& also);
  void change_roles(bool copies);

  Parts p_;
  checkpoint::MongoCheckpointStore other_store_;  // on the old source
  Documents touched_;
  std::vector<bson::Document> commands_;  // changes of definitions beyond the cut: lines of the file
  std::optional<Error> only_by_copy_;     // why nothing but a new copy helps
  Report report_;
};

}  // namespace mongotwin::control
