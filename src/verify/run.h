// SPDX-License-Identifier: Apache-2.0
// Run: one verification from its beginning, or from where a record says, to its verdict.
// Both clusters are read at pairs of snapshots: the source as it was at a cut, the target as it was when that cut was
// all that was applied; so ranges compare equal while writes go on. A pair is renewed before its history is gone.
// What differs is looked at again at later pairs and counts only if it is still there: see recheck().
// Owned by one thread (verify), but for what `publish` gets; what is handed in must outlive it.
#pragma once

#include <chrono>
#include <map>
#include <random>
#include <set>
#include <stop_token>

#include "apply/layout.h"
#include "base/backoff.h"
#include "base/throttle.h"
#include "mongo/errors.h"
#include "verify/definitions.h"
#include "verify/record.h"
#include "verify/replication.h"
#include "verify/side.h"

namespace mongotwin::verify {

// The two clusters and what is expected of them; names are as in control::Pair.
struct Pairing {
  mongo::Cluster& source;
  mongo::Cluster& target;
  const oplog::NamespaceFilter& filter;
  const apply::Holds& holds;
  const apply::ShardingRules& sharding;
  apply::TargetLayout& layout;
  std::vector<std::string> own_layout;                   // of the target: sharded beforehand
  std::optional<std::vector<std::string>> users_except;  // users are compared too, but for these
};

class Run {
 public:
  using Publish = std::function<void(const status::Verification&)>;
  using Save = std::function<void(const Record&)>;
  Run(const Pairing& pairing, Replication& replication, Throttle& throttle, Record record, Publish publish, Save save, std::stop_token stop);

  // To the verdict, which is in the record alone: it is not published. Without one on a stop. Throws Error if it can't be done.
  Record go();
  // Only definitions, counts, and the digests of random ranges, until the time is over.
  Record go_quickly(std::chrono::milliseconds budget);

 private:
  using Steady = std::chrono::steady_clock;
  struct Collection {
    std::string ns;  // the source's name
    Place source, target;
    bool capped = false;
    std::uint64_t documents = 0, bytes = 0, range_documents = 1;
  };
  struct Pair {
    Cut cut;
    std::optional<bson::Timestamp> source, target;  // to read at; none where the server can't
    Steady::time_point made;
  };
  struct Both {
    std::vector<Listed> source, target;
  };

  void begin();
  void plan();
  void walk(Collection& collection);
  void compare_range(const Collection& collection, const IdRange& range);
  [[nodiscard]] bool same_digest(const Collection& collection, const IdRange& range);
  void open_range(const Collection& collection, const IdRange& range);
  void match(const Collection& collection, const Both& both);
  void suspect(const std::string& ns, const bson::Document& id);
  void account(const Collection& collection, std::uint64_t documents, std::uint64_t bytes);

  void compare_capped(const Collection& collection);
  [[nodiscard]] std::string capped_difference(const Collection& collection);
  void move_clocks();
  void compare_definitions();
  void compare_users();

  // Every suspect once more at a new pair; what has been different often enough becomes a difference.
  void recheck();
  void recheck(const Collection& collection, std::vector<Suspect*> some);
  void settle(std::size_t at_most);  // until no more than so many are left
  using Found = std::vector<const bson::Document*>;  // with one _id
  void confirm(const Collection& collection, const Suspect& suspect, const Found& source, const Found& target);
  void report(status::Difference difference);
  void repair();
  void repair_one(const Collection& collection, const bson::Document& id, std::size_t listed);

  // A new pair of snapshots; false on a stop.
  [[nodiscard]] bool renew();
  [[nodiscard]] bool fresh_pair();  // renews if the one there is gets old
  // Until it is done, through passing trouble, and with a new pair where the old one's history is gone. False on a stop.
  [[nodiscard]] bool retrying(const std::function<void()>& f);
  void show();
  void save(bool now = false);
  void wait_for(std::string reason);
  [[nodiscard]] const Collection* find(const std::string& ns) const;
  [[nodiscard]] bool wanted(const std::string& ns) const;
  [[nodiscard]] bool stopped() const { return stop_.stop_requested(); }
  [[nodiscard]] Expected expected() const;

  const Pairing& pairing_;
  Replication& replication_;
  Throttle& throttle_;
  Record record_;
  status::Verification& shown_;
  Publish publish_;
  Save save_;
  std::stop_token stop_;

  Side source_, target_;
  const bool snapshots_;
  bool bytes_;
  Pair pair_;
  std::vector<Collection> collections_;
  std::set<std::string> suspect_ids_;  // ns/hash of the _id: of suspects, and of what became of them in the same range
  std::size_t suspect_bytes_ = 0;
  struct ToRepair {
    std::string ns;
    bson::Document id;
    std::size_t listed;  // its place in shown_.listed; none: beyond the list
  };
  std::vector<ToRepair> to_repair_;
  Steady::time_point begun_, saved_{}, shown_at_{}, rechecked_{};
  std::uint64_t documents_before_ = 0;  // by an earlier process: no measure of the speed
};

// Bounded in time, for a moment at which nothing is written on either side (before roles are swapped).
[[nodiscard]] status::Verification verify_quickly(const Pairing& pairing, Replication& replication, std::chrono::milliseconds budget, std::stop_token stop);

}  // namespace mongotwin::verify
