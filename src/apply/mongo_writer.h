// SPDX-License-Identifier: Apache-2.0
// MongoWriter: the TargetWriter for a real cluster. Commands are built as raw BSON, cut to what a server takes.
// Owned by one thread; the Pool and the TargetLayout must outlive it.
#pragma once

#include "apply/layout.h"
#include "apply/target_writer.h"

namespace mongotwin::apply {

class MongoWriter final : public TargetWriter {
 public:
  MongoWriter(mongo::Pool& pool, const TargetLayout& layout) : pool_(pool), client_(pool.acquire()), layout_(layout) {}
  WriteResult insert(const std::string& ns, const std::vector<bson::View>& documents, bool ordered) override;
  WriteResult update(const std::string& ns, const std::vector<UpdateStatement>& updates, bool ordered) override;
  WriteResult remove(const std::string& ns, const std::vector<bson::Document>& queries, bool ordered) override;
  FindResult find_some(const std::string& ns, bson::View filter, std::size_t bytes_max) override;
  void replace_all(const std::string& ns, const std::vector<bson::Document>& remove_queries, const std::vector<bson::View>& inserts) override;
  std::vector<std::string> shard_key(const std::string& ns) override { return layout_.shard_key(ns); }

 private:
  template <class Append>
  WriteResult run_in_pieces(const std::string& ns, const char* command, const char* list, std::size_t count, bool ordered, Append append);
  mongo::Pool& pool_;
  mongo::Client client_;
  const TargetLayout& layout_;
};

// {w: "majority"}, appended to every write.
void append_majority(bson::Builder& b);

}  // namespace mongotwin::apply
