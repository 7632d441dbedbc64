// SPDX-License-Identifier: Apache-2.0
// Verification: how a comparison of both clusters stands or ended, as the API shows it and as it is saved. Values and
// pure functions.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "bson/view.h"

namespace mongotwin::status {

struct VerifyRequest {
  bool bytes = false;                   // compare by bytes, not by digests
  bool repair = false;                  // write the source's documents over those that differ
  std::vector<std::string> namespaces;  // of the source, '*' for any characters; empty: all that is replicated
};

struct Difference {
  std::string ns;    // the source's name
  std::string id;    // of a document: extended JSON; empty: the collection, an index, a view, a user
  std::string kind;  // missing, extra, fields, order, definition, user
  std::string what;  // in words
  std::string way_out;
  std::int64_t first_seen_ms = 0, last_seen_ms = 0;  // since 1970
  bool repaired = false;
};

enum class Verdict { running, identical, different, cancelled, failed };
[[nodiscard]] const char* to_string(Verdict verdict);

struct Verification {
  std::int64_t number = 0;
  Verdict verdict = Verdict::running;
  VerifyRequest request;
  bool replicating = true;  // false: compared without replication, as both were
  std::int64_t started_ms = 0, ended_ms = 0;
  std::uint64_t collections_total = 0, collections_done = 0, documents_total = 0, documents_done = 0, bytes_done = 0, ranges_done = 0;
  std::string now;               // the collection in work
  std::string waits_for;         // in words; empty: it goes on
  std::optional<std::uint64_t> eta_s;
  std::uint64_t differences = 0, repaired = 0;
  std::uint64_t suspects = 0;    // differ so far; looked at again
  bson::Timestamp since, up_to;  // of the source: each document was compared at a moment between the two
  std::string failure;           // why it could not be done
  // Not in the status, which would be long:
  std::vector<Difference> listed;   // the first kListedMax
  std::vector<std::string> notes;   // what is not as on the source and shall not be; what was compared in another way
};
inline constexpr std::size_t kListedMax = 1000;

// "2026-05-04 12:00:00 UTC"
[[nodiscard]] std::string time_text(bson::Timestamp ts);
// "identical up to 2026-05-04 12:00:00 UTC", "3 differences, as of …".
[[nodiscard]] std::string verdict_text(const Verification& v);
[[nodiscard]] double fraction_done(const Verification& v);

enum class Lists { with, without };
[[nodiscard]] std::string to_json(const Verification& v, Lists lists);
// Throws Error(fix_config) if the text is none.
[[nodiscard]] Verification verification_from_json(const std::string& text);

}  // namespace mongotwin::status
