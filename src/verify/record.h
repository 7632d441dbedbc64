// SPDX-License-Identifier: Apache-2.0
// Record: a verification's memory on the target, one document each in mongotwin.verifications: what it has found, and how
// far it is, so that it goes on after a kill. The last kRecordsKept of a link are kept.
// RecordStore: thread-safe; the pool must outlive it. Throws as commands do.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "mongo/client.h"
#include "status/verification.h"

namespace mongotwin::verify {

inline constexpr int kRecordsKept = 10;
inline constexpr std::size_t kSuspectsMax = 2000;
inline constexpr std::size_t kSuspectBytesMax = 4u << 20;

// A document that differed when it was looked at.
struct Suspect {
  std::string ns;     // the source's name
  bson::Document id;  // {_id: …}
  std::int64_t first_seen_ms = 0;
  int score = 0;      // see Recheck
};

struct Record {
  status::Verification shown;
  std::vector<std::string> done;            // collections, by the source's names
  bool definitions_done = false;
  std::string ns;                           // the one in work
  std::optional<bson::Document> after;      // {_id: …}: compared up to there
  std::vector<Suspect> suspects;
};

class RecordStore {
 public:
  RecordStore(mongo::Pool& target, std::string link) : pool_(target), link_(std::move(link)) {}
  [[nodiscard]] std::optional<Record> newest();
  void save(const Record& record);
  void forget_old(std::int64_t newest);

 private:
  [[nodiscard]] std::string id_of(std::int64_t number) const;
  mongo::Pool& pool_;
  const std::string link_;
};

}  // namespace mongotwin::verify
