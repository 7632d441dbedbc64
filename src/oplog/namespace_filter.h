// SPDX-License-Identifier: Apache-2.0
// NamespaceFilter: which namespaces are replicated, and what they are called on the target. Immutable after
// construction, thread-safe.
// Patterns are "db.collection" with '*' for any run of characters. Never replicated, whatever the patterns say:
// the databases admin, config, local and mongotwin (its own state).
#pragma once

#include <map>
#include <string>
#include <string_view>
#include <vector>

namespace mongotwin::oplog {

class NamespaceFilter {
 public:
  NamespaceFilter() = default;  // everything
  // "db.collection" or "db.*" of the source → the same of the target; the longer rule wins.
  using Renames = std::map<std::string, std::string, std::less<>>;
  // An empty `include` means everything; `exclude` wins. All patterns are about the source's names.
  NamespaceFilter(std::vector<std::string> include, std::vector<std::string> exclude, Renames renames = {})
      : include_(std::move(include)), exclude_(std::move(exclude)), renames_(std::move(renames)) {}
  [[nodiscard]] static NamespaceFilter of_databases(const std::vector<std::string>& databases, Renames renames = {});

  // Time-series buckets go with their collection; the server's own temporary collections (convertToCapped, rename
  // across databases) go with the collection that they become, as far as their names tell.
  [[nodiscard]] bool includes(std::string_view ns) const;
  // The only place that knows the target's names. Buckets and temporary collections go where their collection goes.
  [[nodiscard]] std::string target(const std::string& ns) const;
  // Whether something that is replicated has this name on the target.
  [[nodiscard]] bool includes_target(const std::string& ns) const;
  [[nodiscard]] bool renames() const { return !renames_.empty(); }
  // The same pair seen from the other side: source and target have changed places, names are the old target's.
  [[nodiscard]] NamespaceFilter inverted() const;
  [[nodiscard]] static bool is_internal_database(std::string_view database);

 private:
  [[nodiscard]] bool selects(std::string_view ns) const;
  [[nodiscard]] std::string forward(const std::string& ns) const;
  [[nodiscard]] std::string backward(const std::string& ns) const;
  [[nodiscard]] bool matches(std::string_view ns) const;
  [[nodiscard]] std::string renamed(std::string_view database, std::string_view collection) const;
  std::vector<std::string> include_, exclude_;
  Renames renames_;
  bool inverted_ = false;
};

[[nodiscard]] bool wildcard_match(std::string_view pattern, std::string_view text);

}  // namespace mongotwin::oplog
