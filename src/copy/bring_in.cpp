// SPDX-License-Identifier: Apache-2.0
#include "copy/bring_in.h"

#include <fmt/format.h>

#include "base/log.h"
#include "copy/batch_writer.h"
#include "copy/range_reader.h"
#include "mongo/cursor.h"

namespace mongotwin::copy {
namespace {

constexpr std::uint64_t kMemoryBytes = 64u << 20;
constexpr auto kHint = "start again with a new copy; to avoid it, include both names in the configuration";

std::optional<source::SourceCollection> find_collection(mongo::Client& client, const BringIn& what) {
  auto filter = bson::Builder().int32("listCollections", 1).open_document("filter").uuid("info.uuid", what.uuid.view()).close().finish();
  for (const auto& doc : mongo::fetch_all(client, what.database, filter)) {
    auto name = std::string(doc.view().string("name").value_or(""));
    source::SourceCollection found{what.database + "." + name, what.uuid, bson::Document::copy_of(doc.view().fields("options")), {}, {}, false, {0}};
    for (const auto& spec : mongo::fetch_all(client, what.database, bson::Builder().string("listIndexes", name).boolean("includeBuildUUIDs", true).finish()))
      if (!spec["buildUUID"] && spec.view().string("name") != "_id_" && !spec["clustered"].truthy()) found.indexes.push_back(bson::Document::copy_of(spec));
    return found;
  }
  return {};
}

bool redefined_since(mongo::Client& client, const BringIn& what) {
  bson::Builder find;
  find.string("find", "oplog.rs").open_document("filter").open_document("ts").timestamp("$gt", what.at).close().string("op", "c").uuid("ui", what.uuid.view()).close();
  return !mongo::fetch_all(client, "local", find.int32("limit", 1).boolean("singleBatch", true).finish()).empty();
}

class InlineSink final : public RangeReader::Sink {
 public:
  InlineSink(mongo::Cluster& source, mongo::Cluster& target, apply::TargetLayout& layout, const WaitReport& report, CollectionCopy& collection, std::stop_token stop)
      : room_(kMemoryBytes), writer_(source, target, layout, report, room_), collection_(collection), stop_(std::move(stop)) {}
  void take(Batch batch) override { collection_.documents += writer_.write(batch, collection_, stop_).documents; }
  void again() override { collection_.documents = 0; }

 private:
  ByteBudget room_;
  BatchWriter writer_;
  CollectionCopy& collection_;
  std::stop_token stop_;
};

}  // namespace

void bring_in(mongo::Cluster& source, mongo::Cluster& target, apply::TargetLayout& layout, apply::DdlApplier& ddl, const BringIn& what,
              const WaitReport& report, std::stop_token stop) {
  auto client = source.router().acquire();
  CollectionCopy copy;
  copy.target_ns = what.target_ns;
  copy.at = what.at;
  auto found = find_collection(client, what);
  if (what.exact && (!found || redefined_since(client, what)))
    throw Error(Remedy::resync, fmt::format("{} was renamed into what is to be replicated and then dropped or redefined before it could be copied", what.target_ns), kHint);
  if (found && found->options["capped"].truthy())  // the server has no snapshot reads of those
    throw Error(Remedy::resync, fmt::format("{} was renamed into what is to be replicated, and it is capped: what it held then can't be read", what.target_ns), kHint);
  ddl.apply({oplog::DdlKind::drop, what.target_ns, {}, false, {}, {}}, true, what.consistent);
  if (!found) {  // dropped later: what is still to come of it needs a place
    ddl.create_collection(what.target_ns, {}, true);
    return;
  }
  copy.from = *found;
  ddl.create_collection(what.target_ns, copy.from.options, true);
  auto by = copy.from.options["clusteredIndex"] ? Range::By::order : Range::By::id;
  ByteBudget budget(kMemoryBytes);
  InlineSink sink(source, target, layout, report, copy, stop);
  auto end = RangeReader(source, {}, report, nullptr, budget).read({0, by, {}, {}, false, 0, {}, false}, copy, sink, stop);
  copy.gone = end == RangeReader::End::gone;
  if (copy.gone) throw Error(Remedy::resync, fmt::format("{} was renamed into what is to be replicated and dropped while it was copied", what.target_ns), kHint);
  if (stop.stop_requested()) return;
  if (!copy.from.indexes.empty()) ddl.create_indexes(what.target_ns, copy.from.indexes, what.consistent);
  log::info("copy", "{}: renamed into what is to be replicated: copied {} documents as of {}", what.target_ns, copy.documents.load(), oplog::to_string(what.at));
}

}  // namespace mongotwin::copy
