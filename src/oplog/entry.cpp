// SPDX-License-Identifier: Apache-2.0
#include "oplog/entry.h"

#include <fmt/format.h>

#include "base/error.h"

namespace mongotwin::oplog {
namespace {

void take_fields(Entry& entry, bson::View fields) {
  bson::Element lsid, txn_number, op;
  for (const auto& e : fields) {
    auto key = e.key();
    if (key == "op") op = e;
    else if (key == "ns") entry.ns = e.string().value_or("");
    else if (key == "ui") entry.ui = Uuid::from(e);
    else if (key == "o") entry.o = e.document().value_or(bson::View());
    else if (key == "o2") entry.o2 = e.document();
    else if (key == "ts") entry.ts = e.timestamp().value_or(Timestamp());
    else if (key == "fromMigrate") entry.from_migrate = e.truthy();
    else if (key == "lsid") lsid = e;
    else if (key == "txnNumber") txn_number = e;
    else if (key == "prevOpTime" && e.is_object()) entry.previous = (*e.document())["ts"].timestamp().value_or(Timestamp());
  }
  auto letter = op.string().value_or("");
  if (letter.size() != 1 || std::string_view("iudcn").find(letter[0]) == std::string_view::npos)
    throw Error(Remedy::pause, fmt::format("an oplog entry of unknown kind \"{}\": {}", letter, bson::to_json(fields)),
                "this version of mongotwin does not know it; report it with the server's version");
  entry.op = static_cast<EntryOp>(letter[0]);
  if (lsid && txn_number) entry.transaction = std::string(lsid.value_bytes()) + std::string(txn_number.value_bytes());
}

}  // namespace

std::string Uuid::to_string() const {
  std::string out;
  for (std::size_t i = 0; i < bytes.size(); ++i) {
    if (i == 4 || i == 6 || i == 8 || i == 10) out += '-';
    out += fmt::format("{:02x}", bytes[i]);
  }
  return out;
}

std::optional<Uuid> Uuid::from(const bson::Element& e) {
  auto raw = e.uuid();
  if (!raw) return {};
  Uuid u;
  std::memcpy(u.bytes.data(), raw->data(), 16);
  return u;
}

std::string_view Entry::command() const {
  auto it = o.begin();
  return it == nullptr ? std::string_view() : it->key();
}

Entry parse_entry(bson::Document doc) {
  Entry entry;
  entry.doc = std::move(doc);
  take_fields(entry, entry.doc.view());
  if (entry.ts.is_null())
    throw Error(Remedy::pause, "an oplog entry without a ts: " + bson::to_json(entry.doc.view()), "check the source's oplog");
  return entry;
}

Entry parse_inner(const Entry& outer, bson::View inner) {
  Entry entry;
  entry.doc = outer.doc;
  take_fields(entry, inner);
  entry.ts = outer.ts;
  return entry;
}

std::string to_string(Timestamp ts) { return fmt::format("{}.{}", ts.t, ts.i); }

}  // namespace mongotwin::oplog
