// SPDX-License-Identifier: Apache-2.0
// BatchWriter: puts batches of the copy on the target. Documents that are there already stay, since the catch-up
// replays everything that happened since the copy began. What the target refuses is named by its _id; passing trouble is
// waited for, so that a batch that was taken is written unless all stops. Owned by one thread; what is handed in must
// outlive it.
#pragma once

#include <span>
#include <stop_token>
#include <vector>

#include "apply/layout.h"
#include "copy/collection_copy.h"

namespace mongotwin::copy {

class BatchWriter {
 public:
  // `room`: of all writers, for what they build of a batch.
  BatchWriter(mongo::Cluster& source, mongo::Cluster& target, const apply::TargetLayout& layout, WaitReport report, ByteBudget& room)
      : source_(source), target_(target), layout_(layout), report_(std::move(report)), room_(room), client_(target.router().acquire()) {}
  // What it wrote; returns early on a stop request.
  Size write(const Batch& batch, CollectionCopy& collection, std::stop_token stop);

 private:
  using Documents = std::span<const bson::View>;
  void remove_moved(const Batch& batch, const CollectionCopy& collection);
  [[nodiscard]] bool is_on_source(bson::View document, const CollectionCopy& collection);
  void look_at_keys(const std::vector<bson::View>& documents, CollectionCopy& collection);
  void insert(Documents documents, const Batch& batch, CollectionCopy& collection, std::stop_token stop);
  // Returns those that are still to be written.
  [[nodiscard]] Documents insert_some(Documents documents, const Batch& batch, CollectionCopy& collection, std::stop_token stop);
  void insert_halves(Documents documents, const mongo::CommandError& refusal, const Batch& batch, CollectionCopy& collection, std::stop_token stop);
  void insert_literally(bson::View document, const Batch& batch, CollectionCopy& collection);
  // The number of the last document that was there already; throws on any other refusal.
  [[nodiscard]] std::optional<std::size_t> check(const bson::Document& reply, Documents documents, const Batch& batch, const CollectionCopy& collection);
  void look_for_twins(const std::vector<bson::Element>& ids, const CollectionCopy& collection);
  void settle(bson::View document, bson::View error, const CollectionCopy& collection);

  mongo::Cluster& source_;
  mongo::Cluster& target_;
  const apply::TargetLayout& layout_;
  WaitReport report_;
  ByteBudget& room_;
  mongo::Client client_;
};

}  // namespace mongotwin::copy
