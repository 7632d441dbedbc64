// SPDX-License-Identifier: Apache-2.0
// What an update entry of the oplog (op "u") means: its kind, the document it makes of another one, and whether it
// can be sent to a target as an update command. Pure functions over borrowed bytes; thread-safe; results own theirs.
//
// Guarantee: apply_delta() makes byte for byte what a secondary makes of the entry. Replaying the entries of a
// document from any earlier one onto its newest state gives that newest state again (the server relies on the same
// for its own initial sync); what is in between may be a state that never existed.
// Whatever is not understood throws Error(Remedy::pause) with a message that names it: nothing is guessed.
#pragma once

#include <optional>
#include <string_view>

#include "bson/document.h"
#include "bson/view.h"

namespace mongotwin::oplog {

enum class UpdateKind {
  replacement,  // `o` is the whole document
  delta_v2,     // {$v: 2, diff: {…}}, servers since 5.0
  delta_v1,     // {$v: 1, $set: {…}, $unset: {…}}, servers up to 4.4
};

// `o` of an op "u" entry. An _id decides for a replacement, whatever else is in it (a user's field may be named $v).
[[nodiscard]] UpdateKind classify(bson::View o);

// The document after the entry, given the one before; `o` is a delta of either version.
[[nodiscard]] bson::Document apply_delta(bson::View document, bson::View o);

// The document a replacement entry stores: _id comes first, wherever it stands in the entry.
[[nodiscard]] bson::Document replacement(bson::View o);

// A delta as an update command's `u`.
struct Update {
  enum class Form {
    operators,  // document is {$set: {…}, $unset: {…}, $push: {…}}
    pipeline,   // document is the array [{$unset: […]}, {$set: {…}}, …], to be appended as an array
  };
  Form form = Form::operators;
  bson::Document document;
};

// The delta as an update that, on any server from 5.0 on, gives the same bytes as apply_delta() for a document in the
// state the source's document had before the entry. Empty if there is no such update, or if it would change nothing:
// then read, apply_delta() and replace.
// On a document in another (newer) state the server can refuse it (codes 28 PathNotViable, 2 BadValue, 40400
// $mergeObjects of no object): fall back to read, apply and replace for that document. Such replays end exactly too.
// Limitation: on a document with one name twice in one object, which MongoDB does not support but stores, a `pipeline`
// update keeps one of the two.
[[nodiscard]] std::optional<Update> as_update(bson::View o);

// Whether the entry can change the value at the dotted path, at a prefix of it or below it. Errs towards true.
[[nodiscard]] bool touches(bson::View o, std::string_view dotted_path);

// A replacement command refuses top-level names that start with `$` and fills in top-level Timestamp(0,0); such a
// document is written by an update with the pipeline [{$replaceWith: {$literal: document}}].
[[nodiscard]] bool replacement_needs_literal(bson::View document);
// An insert takes any name but fills in top-level Timestamp(0,0).
[[nodiscard]] bool insert_needs_literal(bson::View document);

}  // namespace mongotwin::oplog
