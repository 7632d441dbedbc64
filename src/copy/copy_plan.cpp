// SPDX-License-Identifier: Apache-2.0
#include "copy/copy_plan.h"

#include <fmt/format.h>

#include <algorithm>
#include <set>

#include "apply/mongo_writer.h"
#include "mongo/cursor.h"

namespace mongotwin::copy {
namespace {

constexpr const char* kDatabase = "mongotwin";
constexpr const char* kItems = "copy_items";
constexpr const char* kRanges = "copy_ranges";
constexpr std::size_t kInsertBytes = 8u << 20, kInsertCount = 10'000;

void append_size(bson::Builder& b, Size size) { b.int64("documents", static_cast<std::int64_t>(size.documents)).int64("bytes", static_cast<std::int64_t>(size.bytes)); }

Size size_of(bson::View v) {
  return {static_cast<std::uint64_t>(v.integer("documents").value_or(0)), static_cast<std::uint64_t>(v.integer("bytes").value_or(0))};
}

std::optional<bson::Document> document_of(bson::View v, const char* name) {
  auto d = v.document(name);
  return d ? std::optional(bson::Document::copy_of(*d)) : std::nullopt;
}

bson::Document item_of(const std::string& id, const std::string& link, std::size_t number, const PlannedCollection& c) {
  bson::Builder b;
  b.string("_id", id).string("link", link).int64("n", static_cast<std::int64_t>(number)).string("ns", c.from.ns).uuid("uuid", c.from.uuid.view());
  b.document("options", c.from.options).open_array("indexes");
  for (std::size_t i = 0; i < c.from.indexes.size(); ++i) b.document(std::to_string(i), c.from.indexes[i]);
  b.close();
  if (c.from.shard_key) b.document("shard_key", *c.from.shard_key).boolean("shard_key_unique", c.from.shard_key_unique);
  b.open_array("shards");
  for (std::size_t i = 0; i < c.from.shards.size(); ++i) b.int32(std::to_string(i), static_cast<std::int32_t>(c.from.shards[i]));
  b.close();
  append_size(b, c.estimate);
  return b.boolean("indexed", c.indexed).finish();
}

PlannedCollection collection_of(bson::View v) {
  PlannedCollection c;
  c.from.ns = v.string("ns").value_or("");
  c.from.uuid = oplog::Uuid::from(v["uuid"]).value_or(oplog::Uuid());
  c.from.options = bson::Document::copy_of(v.fields("options"));
  for (const auto& e : v.fields("indexes")) c.from.indexes.push_back(bson::Document::copy_of(*e.document()));
  c.from.shard_key = document_of(v, "shard_key");
  c.from.shard_key_unique = v["shard_key_unique"].truthy();
  for (const auto& e : v.fields("shards")) c.from.shards.push_back(static_cast<oplog::ShardIndex>(e.integer().value_or(0)));
  c.estimate = size_of(v);
  c.indexed = v["indexed"].truthy();
  c.by_id = v["by_id"].truthy();
  return c;
}

// What stands in the plan must mean the same to a later version.
constexpr const char* kBy[] = {"id", "natural", "order"};

Range::By by_of(bson::View v) {
  auto name = v.string("by").value_or("id");
  for (int n = 0; n < 3; ++n)
    if (name == kBy[n]) return static_cast<Range::By>(n);
  throw Error(Remedy::pause, fmt::format("target: the plan of the copy in mongotwin.{} has a range by {}, which this version does not know", kRanges, name), "go on with the version of mongotwin that began the copy");
}

PlannedRange range_of(bson::View v) {
  PlannedRange r;
  r.number = static_cast<std::size_t>(v.integer("n").value_or(0));
  r.what.collection = static_cast<std::size_t>(v.integer("collection").value_or(0));
  r.what.by = by_of(v);
  r.what.min = document_of(v, "min");
  r.what.max = document_of(v, "max");
  r.what.only_min = v["only_min"].truthy();
  r.what.shard = static_cast<oplog::ShardIndex>(v.integer("shard").value_or(0));
  if (auto member = v.string("member")) {
    // Before it had a field of its own, it stood where the range's version stands.
    auto version = v.string("position_version") ? v.string("position_version") : v.string("version");
    NaturalPosition from{std::string(*member), std::string(version.value_or("")), v.integer("end").value_or(0), {}};
    for (const auto& e : v.fields("tokens")) from.tokens.push_back(bson::Document::copy_of(e.fields()));
    r.what.from = std::move(from);
  }
  r.done = v["done"].truthy();
  r.size = size_of(v);
  if (auto last = document_of(v, "last")) r.last = LastCopied{*last, v["last_was_there"].timestamp().value_or(oplog::Timestamp())};
  r.version = std::string(v.string("version").value_or(""));
  return r;
}

}  // namespace

std::string CopyPlan::id_of(const char* kind, std::size_t number) const { return fmt::format("{}/{}/{:09}", link_, kind, number); }

void CopyPlan::save(const Plan& plan) {
  clear();
  std::vector<bson::Document> items, ranges;
  for (std::size_t n = 0; n < plan.collections.size(); ++n) items.push_back(item_of(id_of("c", n), link_, n, plan.collections[n]));
  for (std::size_t n = 0; n < plan.views.size(); ++n)
    items.push_back(bson::Builder().string("_id", id_of("v", n)).string("link", link_).string("view", plan.views[n].ns).document("definition", plan.views[n].definition).finish());
  for (std::size_t n = 0; n < plan.ranges.size(); ++n) ranges.push_back(to_document(n, plan.ranges[n].what));
  insert(kItems, items);
  insert(kRanges, ranges);
}

Plan CopyPlan::load() {
  Plan plan;
  for (const auto& doc : read(kItems)) {
    if (auto view = doc.view().string("view")) plan.views.push_back({std::string(*view), bson::Document::copy_of(doc.view().fields("definition"))});
    else plan.collections.push_back(collection_of(doc));
  }
  for (const auto& doc : read(kRanges)) plan.ranges.push_back(range_of(doc));
  for (const auto& r : plan.ranges) plan.next_number = std::max(plan.next_number, r.number + 1);
  // Ranges by _id of a collection that was to be read in natural order, of which not all may have been saved.
  std::set<std::size_t> natural;
  for (const auto& r : plan.ranges)
    if (r.what.by == Range::By::natural) natural.insert(r.what.collection);
  std::erase_if(plan.ranges, [&](const auto& r) { return natural.contains(r.what.collection) && (r.what.by == Range::By::natural) == plan.collections.at(r.what.collection).by_id; });
  return plan;
}

bson::Document CopyPlan::to_document(std::size_t number, const Range& range) const {
  bson::Builder b;
  b.string("_id", id_of("r", number)).string("link", link_).int64("n", static_cast<std::int64_t>(number)).int64("collection", static_cast<std::int64_t>(range.collection)).string("by", kBy[static_cast<int>(range.by)]);
  if (range.min) b.document("min", *range.min);
  if (range.max) b.document("max", *range.max);
  if (range.only_min) b.boolean("only_min", true);
  if (range.by == Range::By::natural) b.int32("shard", static_cast<std::int32_t>(range.shard));
  return b.finish();
}

void CopyPlan::read_by_id(std::size_t collection, std::size_t first, const std::vector<Range>& ranges) {
  // An earlier run may have been killed right here, and its ranges would be read beside these.
  remove(kRanges, bson::Builder().string("link", link_).int64("collection", static_cast<std::int64_t>(collection)).open_document("by").string("$ne", kBy[static_cast<int>(Range::By::natural)]).close().finish());
  std::vector<bson::Document> documents;
  for (const auto& range : ranges) documents.push_back(to_document(first + documents.size(), range));
  insert(kRanges, documents);
  set(kItems, id_of("c", collection), bson::Builder().boolean("by_id", true).finish());
}

void CopyPlan::range_done(std::size_t range, Size size, const std::optional<LastCopied>& last, const std::string& version) {
  bson::Builder b;
  b.boolean("done", true).string("version", version);
  append_size(b, size);
  if (last) b.document("last", last->id).timestamp("last_was_there", last->was_there);
  set(kRanges, id_of("r", range), b.finish());
}

void CopyPlan::range_at(std::size_t range, Size size, const NaturalPosition& position) {
  bson::Builder b;
  append_size(b, size);
  b.string("position_version", position.version).string("member", position.member).int64("end", position.end).open_array("tokens");
  for (std::size_t n = 0; n < position.tokens.size(); ++n) b.document(std::to_string(n), position.tokens[n]);
  (void)update(kRanges, bson::Builder().string("_id", id_of("r", range)).open_document("done").boolean("$ne", true).close().finish(), b.close().finish());
}

void CopyPlan::indexed(std::size_t collection) { set(kItems, id_of("c", collection), bson::Builder().boolean("indexed", true).finish()); }

void CopyPlan::clear() {
  for (const auto* collection : {kItems, kRanges}) remove(collection, bson::Builder().string("link", link_).finish());
}

bson::Document CopyPlan::write(const char* collection, bson::Builder command, int fine) {
  apply::append_majority(command);
  auto client = pool_.acquire();
  auto reply = client.run(kDatabase, command.finish());
  mongo::throw_on_write_errors(fmt::format("{}: the plan of the copy can't be saved in {}.{}", client.label(), kDatabase, collection), reply, fine, "see to what is refused there and start again: the copy goes on");
  return reply;
}

void CopyPlan::remove(const char* collection, bson::View filter) {
  bson::Builder b;
  b.string("delete", collection).open_array("deletes").open_document("0").document("q", filter).int32("limit", 0).close().close();
  write(collection, std::move(b));
}

// Unordered: what a try has left whose answer was lost must not keep the rest away.
void CopyPlan::insert(const char* collection, const std::vector<bson::Document>& documents) {
  for (std::size_t next = 0; next < documents.size();) {
    bson::Builder b;
    b.string("insert", collection).boolean("ordered", false).open_array("documents");
    for (std::size_t n = 0; next < documents.size() && n < kInsertCount && b.size() < kInsertBytes; ++n, ++next) b.document(std::to_string(n), documents[next]);
    b.close();
    write(collection, std::move(b), mongo::code::kDuplicateKey);
  }
}

bool CopyPlan::update(const char* collection, bson::View filter, bson::View fields) {
  bson::Builder b;
  b.string("update", collection).open_array("updates").open_document("0").document("q", filter).open_document("u").document("$set", fields).close().close().close();
  return write(collection, std::move(b))["n"].integer().value_or(0) == 1;
}

void CopyPlan::set(const char* collection, const std::string& id, bson::View fields) {
  if (update(collection, bson::Builder().string("_id", id).finish(), fields)) return;
  throw Error(Remedy::pause, fmt::format("target: the plan of the copy in mongotwin.{} has lost {}", collection, id), "remove the link's checkpoint there and start again with a new copy");
}

std::vector<bson::Document> CopyPlan::read(const char* collection) {
  auto client = pool_.acquire();
  auto find = bson::Builder().string("find", collection).open_document("filter").string("link", link_).close().open_document("sort").int32("_id", 1).close().open_document("readConcern").string("level", "majority").close().finish();
  return mongo::fetch_all(client, kDatabase, find);
}

}  // namespace mongotwin::copy
