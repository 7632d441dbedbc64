// SPDX-License-Identifier: Apache-2.0
#include "verify/record.h"

#include <fmt/format.h>

#include "apply/mongo_writer.h"
#include "mongo/cursor.h"

namespace mongotwin::verify {
namespace {

constexpr const char* kDatabase = "mongotwin";
constexpr const char* kCollection = "verifications";
constexpr std::size_t kJsonMax = 64u << 20;

bson::Document fields_of(const Record& record) {
  bson::Builder b;
  b.document("shown", bson::Document::from_json(status::to_json(record.shown, status::Lists::with)));
  b.open_array("done");
  for (std::size_t n = 0; n < record.done.size(); ++n) b.string(std::to_string(n), record.done[n]);
  b.close().boolean("definitions_done", record.definitions_done).string("ns", record.ns);
  if (record.after) b.document("after", *record.after);
  b.open_array("suspects");
  for (std::size_t n = 0; n < record.suspects.size(); ++n) {
    const auto& s = record.suspects[n];
    b.open_document(std::to_string(n)).string("ns", s.ns).document("id", s.id).int64("first_seen_ms", s.first_seen_ms).close();
  }
  return b.close().finish();
}

}  // namespace

std::string RecordStore::id_of(std::int64_t number) const { return fmt::format("{}/{:09}", link_, number); }

std::optional<Record> RecordStore::newest() {
  auto client = pool_.acquire();
  bson::Builder b;
  b.string("find", kCollection).open_document("filter").string("link", link_).close().open_document("sort").int32("_id", -1).close().int32("limit", 1).boolean("singleBatch", true);
  b.open_document("readConcern").string("level", "majority").close();
  auto found = mongo::fetch_all(client, kDatabase, b.finish());
  if (found.empty()) return {};
  auto saved = found.front().view();
  Record record;
  record.shown = status::verification_from_json(bson::to_json(saved.fields("shown"), kJsonMax));
  for (const auto& e : saved.fields("done")) record.done.emplace_back(e.string().value_or(""));
  record.definitions_done = saved["definitions_done"].truthy();
  record.ns = std::string(saved.string("ns").value_or(""));
  if (auto after = saved.document("after")) record.after = bson::Document::copy_of(*after);
  for (const auto& e : saved.fields("suspects")) {
    auto s = e.fields();
    record.suspects.push_back({std::string(s.string("ns").value_or("")), bson::Document::copy_of(s.fields("id")), s.integer("first_seen_ms").value_or(0), 0});
  }
  return record;
}

void RecordStore::save(const Record& record) {
  bson::Builder b;
  b.string("update", kCollection).open_array("updates").open_document("0").open_document("q").string("_id", id_of(record.shown.number)).close();
  b.open_document("u").string("_id", id_of(record.shown.number)).string("link", link_).fields_of(fields_of(record)).close().boolean("upsert", true).close().close();
  apply::append_majority(b);
  auto reply = pool_.acquire().run(kDatabase, b.finish());
  for (const auto& e : reply.view().fields("writeErrors")) {
    auto code = static_cast<int>(e.fields().integer("code").value_or(0));
    throw Error(mongo::is_transient(code) ? Remedy::retry : Remedy::pause, fmt::format("target: the verification can't be saved in mongotwin.{}: {}", kCollection, e.fields().string("errmsg").value_or("")),
                "give the target's user the right to write to the database mongotwin");
  }
}

void RecordStore::forget_old(std::int64_t newest) {
  if (newest <= kRecordsKept) return;
  bson::Builder b;
  b.string("delete", kCollection).open_array("deletes").open_document("0").open_document("q").string("link", link_).open_document("_id").string("$lte", id_of(newest - kRecordsKept)).close().close().int32("limit", 0).close().close();
  apply::append_majority(b);
  (void)pool_.acquire().run(kDatabase, b.finish());
}

}  // namespace mongotwin::verify
