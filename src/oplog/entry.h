// SPDX-License-Identifier: Apache-2.0
// Entry: one document of a shard's oplog, taken apart once. Views and string_views point into `doc`, which keeps
// them alive; copies are cheap. Immutable after parse_entry().
// Format: mongo/db/repl/oplog_entry.idl of the server, as 4.4 to 8.0 write it.
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>

#include "bson/document.h"

namespace mongotwin::oplog {

using bson::Timestamp;

// A source shard by number; names are kept by whoever wires the shards up. A replica set is shard 0.
using ShardIndex = std::uint32_t;

struct Uuid {
  std::array<std::uint8_t, 16> bytes{};
  auto operator<=>(const Uuid&) const = default;
  [[nodiscard]] std::string to_string() const;
  [[nodiscard]] std::string_view view() const { return {reinterpret_cast<const char*>(bytes.data()), bytes.size()}; }
  [[nodiscard]] static std::optional<Uuid> from(const bson::Element& e);
};

enum class EntryOp : char { insert = 'i', update = 'u', remove = 'd', command = 'c', noop = 'n' };

struct Entry {
  bson::Document doc;
  Timestamp ts;
  EntryOp op = EntryOp::noop;
  std::string_view ns;
  std::optional<Uuid> ui;
  bson::View o;
  std::optional<bson::View> o2;
  bool from_migrate = false;
  std::string transaction;  // lsid and txnNumber as bytes; empty when the entry has none
  Timestamp previous;       // prevOpTime.ts; null at the start of a chain

  [[nodiscard]] std::string_view database() const { return ns.substr(0, ns.find('.')); }
  [[nodiscard]] std::string_view collection() const { return ns.substr(std::min(ns.size(), ns.find('.') + 1)); }
  // The name of a command entry: the first field of o.
  [[nodiscard]] std::string_view command() const;
};

// Throws Error(pause) naming the field if the document is no oplog entry of a known form.
[[nodiscard]] Entry parse_entry(bson::Document doc);
// An operation inside applyOps; shares `outer`'s bytes and takes its ts.
[[nodiscard]] Entry parse_inner(const Entry& outer, bson::View inner);

[[nodiscard]] std::string to_string(Timestamp ts);

}  // namespace mongotwin::oplog

template <>
struct std::hash<mongotwin::oplog::Uuid> {
  std::size_t operator()(const mongotwin::oplog::Uuid& u) const noexcept { return std::hash<std::string_view>()(u.view()); }
};
