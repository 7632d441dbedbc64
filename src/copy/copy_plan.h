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
  std::size_t number = 0;
  Range what;
  bool done = false;
  Size size;                           // what was copied
  std::optional<LastCopied> last;
  std::string version;                 // of the collection's place while it was read
};

struct PlannedCollection {
  source::SourceCollection from;
  Size estimate;
  bool indexed = false;
  bool by_id = false;  // its ranges in natural order do not count any more
};

struct Plan {
  std::vector<PlannedCollection> collections;
  std::vector<source::SourceView> views;
  std::vector<PlannedRange> ranges;
  std::size_t next_number = 0;  // that no range has, one that does not count any more included
};

class CopyPlan {
 public:
  CopyPlan(mongo::Pool& target, std::string link) : pool_(target), link_(std::move(link)) {}

  // In place of whatever is saved of this link; not at once: it counts only when the checkpoint says so.
  void save(const Plan& plan);
  [[nodiscard]] Plan load();
  void range_done(std::size_t range, Size size, const std::optional<LastCopied>& last, const std::string& version);
  // How far one that is read in natural order has come; nothing once it is done.
  void range_at(std::size_t range, Size size, const NaturalPosition& position);
  // A collection that was read in natural order is to be read by these ranges instead, which get the numbers from `first` on.
  void read_by_id(std::size_t collection, std::size_t first, const std::vector<Range>& ranges);
  void indexed(std::size_t collection);
  void clear();

 private:
  // Throws also for what is refused of it, but with the code `fine`.
  bson::Document write(const char* collection, bson::Builder command, int fine = 0);
  void insert(const char* collection, const std::vector<bson::Document>& documents);
  void remove(const char* collection, bson::View filter);
  bool update(const char* collection, bson::View filter, bson::View fields);  // false: there is none
  void set(const char* collection, const std::string& id, bson::View fields);
  [[nodiscard]] std::vector<bson::Document> read(const char* collection);
  [[nodiscard]] bson::Document to_document(std::size_t number, const Range& range) const;
  [[nodiscard]] std::string id_of(const char* kind, std::size_t number) const;

  mongo::Pool& pool_;
  const std::string link_;
};

}  // namespace mongotwin::copy
