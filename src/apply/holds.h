// SPDX-License-Identifier: Apache-2.0
// Holds: what the target must not have yet although the source has it: expiry (a passive copy must not expire
// documents by itself), that an index is hidden (it stays in use until the target is the one that is asked) and, until the
// target is consistent, unique indexes (documents copied at different moments may clash) and what else the documents of
// such a mixture refuse. Pure bookkeeping, saved with the checkpoint; DdlApplier keeps it and finish restores from it.
// Thread-safe.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "base/annotations.h"
#include "bson/document.h"

namespace mongotwin::apply {

// As far away as the server allows: 2^31 - 1 seconds. Being in the index, collMod can put the real value back on
// every server version.
inline constexpr std::int32_t kHeldSeconds = 2147483647;

class Holds {
 public:
  struct Index {
    std::string ns, name;
    bson::Document value;  // ttl: {expireAfterSeconds: …}; hidden: {hidden: true}; unique: the whole specification
  };

  void hold_ttl(const std::string& ns, const std::string& index, bson::Document value);
  void hold_collection_ttl(const std::string& ns, bson::Document value);
  void hold_hidden(const std::string& ns, const std::string& index);
  void hold_unique(const std::string& ns, bson::Document spec);
  [[nodiscard]] bool holds_ttl(const std::string& ns, const std::string& index) const;
  [[nodiscard]] bool holds_unique(const std::string& ns, const std::string& index) const;
  [[nodiscard]] bool holds_collection_ttl(const std::string& ns) const;
  [[nodiscard]] bool holds_any(const std::string& ns) const;

  void forget_index(const std::string& ns, const std::string& index);
  void forget_hidden(const std::string& ns, const std::string& index);
  void forget_unique(const std::string& ns, const std::string& index);
  void forget_collection(const std::string& ns);
  void rename(const std::string& from, const std::string& to);

  [[nodiscard]] std::vector<Index> ttls() const;
  [[nodiscard]] std::vector<Index> collection_ttls() const;
  [[nodiscard]] std::vector<Index> hidden() const;
  [[nodiscard]] std::vector<Index> uniques() const;

  [[nodiscard]] bson::Document to_document() const;
  void load(bson::View document);

 private:
  using Key = std::pair<std::string, std::string>;  // ns, index name
  mutable Mutex m_;
  std::map<Key, bson::Document> ttl_ GUARDED_BY(m_), unique_ GUARDED_BY(m_), collection_ttl_ GUARDED_BY(m_), hidden_ GUARDED_BY(m_);
};

}  // namespace mongotwin::apply
