// SPDX-License-Identifier: Apache-2.0
// TargetWriter: one of the five seams: how documents get onto the target. Every call is idempotent in effect when it
// is repeated, waits for a majority, and throws mongo::CommandError when the whole command failed (its remedy says
// whether waiting helps); refusals of single statements come back in the result. Owned by one thread (a lane).
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "bson/document.h"

namespace mongotwin::apply {

// A command document may be 16 MiB and 16 KiB (BSONObjMaxInternalSize); a single large document always fits.
constexpr std::size_t kCommandBytesMax = 12u << 20;
constexpr std::size_t kReplyBytesMax = 16u << 20;  // and of a document
constexpr std::size_t kReadBytesMax = 8u << 20;    // of documents looked at together, or one reply

struct UpdateStatement {
  bson::Document query;
  bson::Document update;    // a replacement, update operators, or a pipeline (as an array)
  bool pipeline = false;
  bool upsert = false;
};

struct WriteError {
  std::size_t index = 0;    // of the statement
  int code = 0;             // the server's
  std::string message;
  bson::Document key_pattern, key_value;  // of a duplicate key
};

struct WriteResult {
  std::int64_t n = 0;       // documents inserted, matched or removed
  std::vector<WriteError> errors;
};

struct FindResult {
  std::vector<bson::Document> documents;
  bool complete = true;     // false: there are more
};

class TargetWriter {
 public:
  virtual ~TargetWriter() = default;
  virtual WriteResult insert(const std::string& ns, const std::vector<bson::View>& documents, bool ordered) = 0;
  virtual WriteResult update(const std::string& ns, const std::vector<UpdateStatement>& updates, bool ordered) = 0;
  virtual WriteResult remove(const std::string& ns, const std::vector<bson::Document>& queries, bool ordered) = 0;
  // Ends when `bytes_max` is reached: of large documents only some come at once.
  virtual FindResult find_some(const std::string& ns, bson::View filter, std::size_t bytes_max) = 0;
  std::vector<bson::Document> find(const std::string& ns, bson::View filter) { return find_some(ns, filter, SIZE_MAX).documents; }
  // Removes and inserts as one transaction, every document exactly as it is (also Timestamp(0,0), see
  // oplog::insert_needs_literal); a refused statement throws CommandError with its code.
  virtual void replace_all(const std::string& ns, const std::vector<bson::Document>& remove_queries, const std::vector<bson::View>& inserts) = 0;
  // The shard key's paths on the target, in order; empty where the collection is not sharded.
  virtual std::vector<std::string> shard_key(const std::string& ns) = 0;
};

}  // namespace mongotwin::apply
