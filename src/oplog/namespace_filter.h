// SPDX-License-Identifier: Apache-2.0
// NamespaceFilter: which namespaces are replicated. Immutable after construction, thread-safe.
// Patterns are "db.collection" with '*' for any run of characters. Never replicated, whatever the patterns say:
// the databases admin, config, local and mongotwin (its own state).
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace mongotwin::oplog {

class NamespaceFilter {
 public:
  NamespaceFilter() = default;  // everything
  // An empty `include` means everything; `exclude` wins.
  NamespaceFilter(std::vector<std::string> include, std::vector<std::string> exclude)
      : include_(std::move(include)), exclude_(std::move(exclude)) {}
  [[nodiscard]] static NamespaceFilter of_databases(const std::vector<std::string>& databases);

  // Time-series buckets go with their collection; the server's own temporary collections (convertToCapped, rename
  // across databases) go with the collection that they become, as far as their names tell.
  [[nodiscard]] bool includes(std::string_view ns) const;
  [[nodiscard]] static bool is_internal_database(std::string_view database);

 private:
  [[nodiscard]] bool matches(std::string_view ns) const;
  std::vector<std::string> include_, exclude_;
};

[[nodiscard]] bool wildcard_match(std::string_view pattern, std::string_view text);

}  // namespace mongotwin::oplog
