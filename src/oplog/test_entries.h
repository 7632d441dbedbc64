// SPDX-License-Identifier: Apache-2.0
// Oplog entries for tests, from the JSON that a person would write down.
#pragma once

#include "oplog/entry.h"

namespace mongotwin::oplog::testing {

inline Uuid uuid(int n) {
  Uuid u;
  u.bytes.fill(static_cast<std::uint8_t>(n));
  return u;
}

inline Timestamp at(std::uint32_t t, std::uint32_t i = 1) { return {t, i}; }

struct Extra {
  std::string o2;            // JSON
  bool from_migrate = false;
  std::string lsid;          // with a transaction number of 1
  Timestamp previous;        // prevOpTime, when there is an lsid
  int multi_op_type = 0;
};

inline Entry entry(Timestamp ts, const char* op, const std::string& ns, std::optional<Uuid> ui, const std::string& o, const Extra& extra = {}) {
  bson::Builder b;
  b.string("op", op).string("ns", ns);
  if (ui) b.uuid("ui", ui->view());
  b.document("o", bson::Document::from_json(o));
  if (!extra.o2.empty()) b.document("o2", bson::Document::from_json(extra.o2));
  if (extra.from_migrate) b.boolean("fromMigrate", true);
  if (!extra.lsid.empty()) b.open_document("lsid").string("id", extra.lsid).close().int64("txnNumber", 1).open_document("prevOpTime").timestamp("ts", extra.previous).int64("t", -1).close();
  if (extra.multi_op_type) b.int32("multiOpType", extra.multi_op_type);
  b.timestamp("ts", ts);
  return parse_entry(b.finish());
}

inline Entry command(Timestamp ts, const std::string& database, std::optional<Uuid> ui, const std::string& o, bool from_migrate = false) {
  return entry(ts, "c", database + ".$cmd", ui, o, {{}, from_migrate, {}, {}});
}

// An applyOps entry: `ops` as the inside of the array; %1 to %9 stand for uuid(1) to uuid(9).
inline Entry apply_ops(Timestamp ts, const std::string& ops, const std::string& flags, const Extra& extra) {
  std::string json;
  for (std::size_t n = 0; n < ops.size(); ++n) {
    if (ops[n] != '%') { json += ops[n]; continue; }
    std::string hex;
    for (int k = 0; k < 16; ++k) hex += std::string("0") + ops[n + 1];
    for (auto dash : {20, 16, 12, 8}) hex.insert(static_cast<std::size_t>(dash), "-");
    json += "{\"$uuid\": \"" + hex + "\"}";
    ++n;
  }
  return entry(ts, "c", "admin.$cmd", {}, "{\"applyOps\": [" + json + "]" + flags + "}", extra);
}

}  // namespace mongotwin::oplog::testing
