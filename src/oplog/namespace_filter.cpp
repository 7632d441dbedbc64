// SPDX-License-Identifier: Apache-2.0
#include "oplog/namespace_filter.h"

#include <algorithm>

namespace mongotwin::oplog {

bool wildcard_match(std::string_view pattern, std::string_view text) {
  std::size_t p = 0, t = 0, star = std::string_view::npos, restart = 0;
  while (t < text.size()) {
    if (p < pattern.size() && pattern[p] == '*') {
      star = p++;
      restart = t;
    } else if (p < pattern.size() && pattern[p] == text[t]) {
      ++p;
      ++t;
    } else if (star != std::string_view::npos) {
      p = star + 1;
      t = ++restart;
    } else {
      return false;
    }
  }
  while (p < pattern.size() && pattern[p] == '*') ++p;
  return p == pattern.size();
}

NamespaceFilter NamespaceFilter::of_databases(const std::vector<std::string>& databases) {
  std::vector<std::string> include;
  for (const auto& db : databases) include.push_back(db + ".*");
  return {std::move(include), {}};
}

bool NamespaceFilter::is_internal_database(std::string_view database) {
  return database == "admin" || database == "config" || database == "local" || database == "mongotwin";
}

bool NamespaceFilter::matches(std::string_view ns) const {
  auto hit = [&](const std::string& pattern) { return wildcard_match(pattern, ns); };
  return (include_.empty() || std::any_of(include_.begin(), include_.end(), hit)) && std::none_of(exclude_.begin(), exclude_.end(), hit);
}

bool NamespaceFilter::includes(std::string_view ns) const {
  auto dot = ns.find('.');
  auto database = ns.substr(0, dot);
  if (is_internal_database(database)) return false;
  if (dot == std::string_view::npos) return matches(ns);
  auto collection = ns.substr(dot + 1);
  auto same_database = [&](std::string_view name) { return matches(std::string(database) + "." + std::string(name)); };
  if (collection.starts_with("system.buckets.")) return same_database(collection.substr(15));
  // Temporary names of the server: tmpXXXXX.convertToCapped.<name>, tmpXXXXX.renameCollection, tmp.agg_out.<uuid> of
  // $out (seen on 6.0).
  if (collection.starts_with("tmp")) {
    if (auto at = collection.find(".convertToCapped."); at != std::string_view::npos) return same_database(collection.substr(at + 17));
    if (collection.ends_with(".renameCollection") || collection.starts_with("tmp.agg_out."))
      return include_.empty() || std::any_of(include_.begin(), include_.end(), [&](const std::string& pattern) {
               return wildcard_match(pattern.substr(0, pattern.find('.')), database);
             });
  }
  return matches(ns);
}

}  // namespace mongotwin::oplog
