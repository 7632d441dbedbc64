// SPDX-License-Identifier: Apache-2.0
// RangeCopier: copies one range: batches of raw BSON from the source's cursor go as they are into inserts on the
// target. A range that is interrupted is read again from its start; documents that are there already stay, since the
// catch-up replays everything that happened since the copy began. Follows its collection through renames, movePrimary
// and resharding. Owned by one thread (copy.NN); what is handed in must outlive it.
#pragma once

#include <atomic>
#include <functional>
#include <stop_token>
#include <string>

#include "apply/layout.h"
#include "base/throttle.h"
#include "copy/ranges.h"

namespace mongotwin::copy {

// What a copier needs to know of its collection, and counts of it. Counters may be read from any thread.
struct CollectionCopy {
  source::SourceCollection from;
  std::string target_ns;
  Size estimate;
  std::atomic<std::uint64_t> documents{0}, bytes{0};
  std::atomic<std::size_t> ranges_left{0};
  std::atomic<bool> gone{false};  // dropped on the source meanwhile: the catch-up drops it on the target
  std::atomic<bool> done{false};
  [[nodiscard]] bool keeps_order() const { return from.options["capped"].truthy(); }  // natural order is part of what it is
  std::optional<oplog::Timestamp> at;  // to be read as it was then
  std::optional<bson::Document> last;  // capped: {_id: …} of the last document copied; set by its only copier
};

class RangeCopier {
 public:
  using WaitReport = std::function<void(const std::string& reason)>;
  RangeCopier(mongo::Cluster& source, mongo::Cluster& target, const apply::TargetLayout& layout, WaitReport report, Throttle* throttle = nullptr)
      : source_(source), target_(target), layout_(layout), report_(std::move(report)), throttle_(throttle), reader_(source.router().acquire()), writer_(target.router().acquire()) {}
  // A capped collection can't be read again over what is there: `recreate` empties the target's collection.
  using Recreate = std::function<void(const CollectionCopy&)>;
  // Returns when the range is whole on the target, the collection is gone, or a stop is requested; and what it copied.
  Size copy(const Range& range, CollectionCopy& collection, const Recreate& recreate, std::stop_token stop);

 private:
  struct Place {  // where the collection is read, under its present name
    std::string database, name;
    oplog::Uuid uuid;
  };
  bool copy_once(const Range& range, CollectionCopy& collection, std::stop_token stop);
  void remove_moved(bson::View documents, const CollectionCopy& collection);
  [[nodiscard]] bson::Document find_command(const Range& range, const CollectionCopy& collection, std::int64_t batch_size) const;
  bool follow(const mongo::CommandError& mismatch);
  std::uint64_t write(bson::View documents, CollectionCopy& collection, std::stop_token stop);
  void insert(bson::View documents, CollectionCopy& collection, std::stop_token stop);
  void insert_literally(const std::vector<bson::View>& documents, CollectionCopy& collection);
  // The number of the last document that was there already; throws on any other refusal.
  [[nodiscard]] std::optional<std::size_t> check_duplicates(const bson::Document& reply, CollectionCopy& collection);

  mongo::Cluster& source_;
  mongo::Cluster& target_;
  const apply::TargetLayout& layout_;
  WaitReport report_;
  Throttle* throttle_;  // of bytes; none: as fast as it can
  mongo::Client reader_, writer_;
  Place place_;
  bool repeated_ = false;  // some of the range may be on the target already
  Size copied_;
};

}  // namespace mongotwin::copy
