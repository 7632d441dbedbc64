// SPDX-License-Identifier: Apache-2.0
// CopyPlan: the initial copy's memory on the target, in the database mongotwin: what is to be copied, range by range, and
// what is whole already (collections copy_items and copy_ranges, one document each). A killed copy goes on with the rest.
// Thread-safe; the pool must outlive it. Throws as commands do.
#pragma once

#include <string>
#include <vector>

#include "copy/ranges.h"
#include "source/catalog_reader.h"

namespace mongotwin::copy {

struct PlannedRange {
  Range what;
  bool done = false;
  Size size;                          // what was copied
  std::optional<bson::Document> last;  // of a capped collection: {_id: …} of its last document
};

struct PlannedCollection {
  source::SourceCollection from;
  Size estimate;
  bool indexed = false;
};

struct Plan {
  std::vector<PlannedCollection> collections;
  std::vector<source::SourceView> views;
  std::vector<PlannedRange> ranges;
};

class CopyPlan {
 public:
  CopyPlan(mongo::Pool& target, std::string link) : pool_(target), link_(std::move(link)) {}

  // In place of whatever is saved of this link; not at once: it counts only when the checkpoint says so.
  void save(const Plan& plan);
  [[nodiscard]] Plan load();
  void range_done(std::size_t range, Size size, const std::optional<bson::Document>& last);
  void indexed(std::size_t collection);
  void clear();

 private:
  void insert(const char* collection, const std::vector<bson::Document>& documents);
  void set(const char* collection, const std::string& id, bson::View fields);
  [[nodiscard]] std::vector<bson::Document> read(const char* collection);
  [[nodiscard]] std::string id_of(const char* kind, std::size_t number) const;

  mongo::Pool& pool_;
  const std::string link_;
};

}  // namespace mongotwin::copy
