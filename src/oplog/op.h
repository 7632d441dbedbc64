// SPDX-License-Identifier: Apache-2.0
// Op: one logical change in the merged order, ready to be planned. It shares the bytes of its oplog entry.
// Collection: what an operation needs to know of where it goes; an immutable snapshot, replaced by a rename.
#pragma once

#include <memory>
#include <string>

#include "oplog/entry.h"

namespace mongotwin::oplog {

struct Collection {
  std::uint64_t id = 0;         // stays through renames
  std::string ns;               // where its operations go on the target
  bool replicated = true;       // false: outside the filter, or the server's own business
  bool capped = false;
  bool simple_collation = true;
  bool take_migrated = false;   // real inserts are marked fromMigrate, see Catalog
  // Capped, after the initial copy or a restart: inserts up to here are on the target or were evicted; inserting one of
  // those again would put it behind newer documents.
  Timestamp copied_up_to{};
  [[nodiscard]] std::string database() const { return ns.substr(0, ns.find('.')); }
  [[nodiscard]] std::string name() const { return ns.substr(ns.find('.') + 1); }
};
using CollectionRef = std::shared_ptr<const Collection>;

enum class DdlKind {
  create, drop, rename, create_index, drop_index, coll_mod, create_view, drop_view, modify_view, shard_collection,
  bring_in,  // renamed into the filter: its documents are not on the target yet
};
[[nodiscard]] const char* to_string(DdlKind kind);

struct Ddl {
  DdlKind kind;
  std::string ns;
  std::string to;            // rename; bring_in: the source's name
  bool drop_target = false;  // rename
  std::string index;         // drop_index: its name
  bson::Document spec;       // options, index specification, collMod fields, view definition, shard key
  Uuid uuid{};               // bring_in: the source's collection, as of
  Timestamp at{};
};

enum class OpKind { insert, update, remove, ddl };
[[nodiscard]] const char* to_string(OpKind kind);

struct Op {
  OpKind kind;
  CollectionRef collection;  // null for ddl
  Timestamp ts;              // of the entry that made it visible: a transaction's operations carry the commit's
  ShardIndex shard = 0;
  bson::Document doc;        // keeps the views alive
  bson::View o;              // insert: the document; update: delta or replacement; remove: the document key
  bson::View key;            // the document key as the source knows it: shard key fields then _id, or only _id
  std::shared_ptr<const Ddl> ddl;
  bool in_transaction = false;
  bool only_as_keyed = false;  // remove: the document may have moved and live on under another shard key, see Assembler::whole()
  [[nodiscard]] bson::Element id() const { return key["_id"]; }
};

}  // namespace mongotwin::oplog
