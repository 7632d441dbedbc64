// SPDX-License-Identifier: Apache-2.0
#include "apply/mongo_writer.h"

#include <fmt/format.h>

#include "apply/lane_applier.h"
#include "mongo/cursor.h"
#include "oplog/delta.h"

namespace mongotwin::apply {
namespace {

constexpr std::size_t kCommandHeadBytes = 1u << 10;
constexpr std::size_t kStatementsMax = 50'000;  // below the server's maxWriteBatchSize of 100,000

std::pair<std::string, std::string> split(const std::string& ns) {
  auto dot = ns.find('.');
  return {ns.substr(0, dot), ns.substr(dot + 1)};
}

void collect(const bson::Document& reply, std::size_t first, WriteResult& out) {
  out.n += reply["n"].integer().value_or(0);
  auto errors = reply["writeErrors"].document();
  if (!errors) return;
  for (const auto& e : *errors) {
    auto v = *e.document();
    WriteError error;
    error.index = first + static_cast<std::size_t>(v.integer("index").value_or(0));
    error.code = static_cast<int>(v.integer("code").value_or(0));
    error.message = v.string("errmsg").value_or("");
    if (auto pattern = v.document("keyPattern")) error.key_pattern = bson::Document::copy_of(*pattern);
    if (auto value = v.document("keyValue")) error.key_value = bson::Document::copy_of(*value);
    if (mongo::is_transient(error.code))
      throw mongo::CommandError(Remedy::retry, error.code, true, fmt::format("target: {} (code {})", error.message, error.code));
    out.errors.push_back(std::move(error));
  }
}

}  // namespace

void append_majority(bson::Builder& b) { b.open_document("writeConcern").string("w", "majority").close(); }

template <class Append>
WriteResult MongoWriter::run_in_pieces(const std::string& ns, const char* command, const char* list, std::size_t count, bool ordered, Append append) {
  WriteResult out;
  auto [database, collection] = split(ns);
  for (std::size_t next = 0; next < count;) {
    auto first = next;
    bson::Builder b;
    b.string(command, collection).open_array(list);
    char key[24];
    auto bytes = kCommandHeadBytes;
    for (auto n = first; n < count && n - first < kStatementsMax && (n == first || bytes + append.size(n) < kCommandBytesMax); ++n) bytes += append.size(n);
    b.reserve(bytes);
    do {
      auto end = fmt::format_to_n(key, sizeof key, "{}", next - first).out;
      append(b, std::string_view(key, static_cast<std::size_t>(end - key)), next);
      ++next;
    } while (next < count && next - first < kStatementsMax && b.size() < kCommandBytesMax && b.size() + append.size(next) < kCommandBytesMax);
    b.close().boolean("ordered", ordered);
    if (std::string_view(command) != "delete") b.boolean("bypassDocumentValidation", true);
    append_majority(b);
    collect(client_.run(database, b.finish()), first, out);
    if (ordered && !out.errors.empty()) break;
  }
  return out;
}

namespace {

struct AppendDocuments {
  const std::vector<bson::View>& documents;
  void operator()(bson::Builder& b, std::string_view key, std::size_t i) const { b.document(key, documents[i]); }
  [[nodiscard]] std::size_t size(std::size_t i) const { return documents[i].size() + 16; }
};

struct AppendUpdates {
  const std::vector<UpdateStatement>& updates;
  void operator()(bson::Builder& b, std::string_view key, std::size_t i) const {
    const auto& s = updates[i];
    b.open_document(key).document("q", s.query);
    if (s.pipeline) b.array("u", s.update);
    else b.document("u", s.update);
    if (s.upsert) b.boolean("upsert", true);
    b.close();
  }
  [[nodiscard]] std::size_t size(std::size_t i) const { return updates[i].query.size() + updates[i].update.size() + 64; }
};

struct AppendRemoves {
  const std::vector<bson::Document>& queries;
  void operator()(bson::Builder& b, std::string_view key, std::size_t i) const {
    b.open_document(key).document("q", queries[i]).int32("limit", 1).close();
  }
  [[nodiscard]] std::size_t size(std::size_t i) const { return queries[i].size() + 64; }
};

}  // namespace

WriteResult MongoWriter::insert(const std::string& ns, const std::vector<bson::View>& documents, bool ordered) {
  return run_in_pieces(ns, "insert", "documents", documents.size(), ordered, AppendDocuments{documents});
}

WriteResult MongoWriter::update(const std::string& ns, const std::vector<UpdateStatement>& updates, bool ordered) {
  return run_in_pieces(ns, "update", "updates", updates.size(), ordered, AppendUpdates{updates});
}

WriteResult MongoWriter::remove(const std::string& ns, const std::vector<bson::Document>& queries, bool ordered) {
  return run_in_pieces(ns, "delete", "deletes", queries.size(), ordered, AppendRemoves{queries});
}

FindResult MongoWriter::find_some(const std::string& ns, bson::View filter, std::size_t bytes_max) {
  auto [database, collection] = split(ns);
  // A connection keeps a buffer as large as its largest reply: few of them are to have one.
  auto client = pool_.acquire();
  mongo::Cursor cursor(client, database, bson::Builder().string("find", collection).document("filter", filter).finish());
  FindResult out;
  std::size_t bytes = 0;
  while (auto batch = cursor.next()) {
    auto owner = std::make_shared<bson::Document>(batch->reply);
    for (const auto& e : batch->array) out.documents.emplace_back(owner, *e.document());
    bytes += batch->reply.size();
    if (bytes < bytes_max || cursor.at_end()) continue;
    out.complete = false;
    break;
  }
  return out;
}

void MongoWriter::replace_all(const std::string& ns, const std::vector<bson::Document>& remove_queries, const std::vector<bson::View>& inserts) {
  auto [database, collection] = split(ns);
  std::vector<mongo::Client::Statement> statements;
  auto state = [&](const char* command, const char* list, auto append, std::size_t count) {
    for (std::size_t next = 0; next < count;) {
      auto first = next;
      bson::Builder b;
      b.string(command, collection).open_array(list);
      do append(b, std::to_string(next - first), next);
      while (++next < count && b.size() + append.size(next) < kCommandBytesMax);
      b.close();
      if (std::string_view(command) != "delete") b.boolean("bypassDocumentValidation", true);
      statements.push_back({database, b.finish()});
    }
  };
  std::vector<bson::View> plain;
  std::vector<UpdateStatement> puts;
  for (const auto& doc : inserts) {
    if (!oplog::insert_needs_literal(doc)) {
      plain.push_back(doc);
      continue;
    }
    auto& put = puts.emplace_back();
    put.query = key_query(shard_key(ns), doc);
    put.update = bson::Builder().open_document("0").open_document("$replaceWith").document("$literal", doc).close().close().finish();
    put.pipeline = put.upsert = true;
  }
  state("delete", "deletes", AppendRemoves{remove_queries}, remove_queries.size());
  state("insert", "documents", AppendDocuments{plain}, plain.size());
  state("update", "updates", AppendUpdates{puts}, puts.size());
  client_.transaction(statements);
}

}  // namespace mongotwin::apply
