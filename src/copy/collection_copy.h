// SPDX-License-Identifier: Apache-2.0
// CollectionCopy: what readers and writers of one collection need to know of it, and counts of it. What is not atomic is
// set before they start, or by the only one of them. Batch: documents on their way from one to the other.
#pragma once

#include <atomic>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/byte_budget.h"
#include "copy/ranges.h"
#include "source/collection_place.h"

namespace mongotwin::copy {

// What a thread waits for; empty: no more.
using WaitReport = std::function<void(const std::string& reason)>;

struct CollectionCopy {
  source::SourceCollection from;
  std::string target_ns;
  Size estimate;
  std::atomic<std::uint64_t> documents{0}, bytes{0};
  std::atomic<bool> gone{false};  // dropped on the source meanwhile: the catch-up drops it on the target
  std::atomic<bool> done{false};
  std::atomic<std::uint64_t> key_lacking{0};  // documents without a field of the target's shard key
  [[nodiscard]] bool keeps_order() const { return from.options["capped"].truthy(); }  // natural order is part of what it is
  std::optional<oplog::Timestamp> at;  // to be read as it was then
  std::optional<LastCopied> last;  // capped; set by its only copier
};

struct Batch {
  bson::Document owner;  // keeps the documents' bytes: the server's reply, which several batches may share
  std::vector<bson::View> documents;
  std::uint64_t bytes = 0;  // of the documents
  std::shared_ptr<const source::CollectionPlace> place;
  bool repeated = false;  // some of them may be on the target already
  std::optional<NaturalPosition> position;  // natural: behind its last document
  std::shared_ptr<ByteBudget::Share> share;  // of the reply
};

}  // namespace mongotwin::copy
