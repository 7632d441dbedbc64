// SPDX-License-Identifier: Apache-2.0
#include "apply/layout.h"

#include "mongo/cursor.h"

namespace mongotwin::apply {

void TargetLayout::refresh() {
  if (!sharded_) return;
  auto client = pool_.acquire();
  std::map<std::string, std::vector<std::string>> keys;
  auto find = bson::Builder().string("find", "collections").open_document("filter").open_document("dropped").boolean("$ne", true).close().close().finish();
  for (const auto& doc : mongo::fetch_all(client, "config", find)) {
    auto key = doc.view().document("key");
    if (!key || doc["unsplittable"].truthy()) continue;  // 8.0 lists tracked unsharded collections too
    auto& paths = keys[std::string(doc.view().string("_id").value_or(""))];
    for (const auto& e : *key) paths.emplace_back(e.key());
  }
  Lock lock(m_);
  keys_ = std::move(keys);
}

std::vector<std::string> TargetLayout::shard_key(const std::string& ns) const {
  Lock lock(m_);
  auto it = keys_.find(ns);
  return it == keys_.end() ? std::vector<std::string>() : it->second;
}

}  // namespace mongotwin::apply
