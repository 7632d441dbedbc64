// SPDX-License-Identifier: Apache-2.0
#include "oplog/namespace_filter.h"

#include <algorithm>

namespace mongotwin::oplog {
namespace {

constexpr std::string_view kBuckets = "system.buckets.", kConvertToCapped = ".convertToCapped.";

}  // namespace

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

NamespaceFilter NamespaceFilter::of_databases(const std::vector<std::string>& databases, Renames renames) {
  std::vector<std::string> include;
  for (const auto& db : databases) include.push_back(db + ".*");
  return {std::move(include), {}, std::move(renames)};
}

bool NamespaceFilter::is_internal_database(std::string_view database) {
  return database == "admin" || database == "config" || database == "local" || database == "mongotwin";
}

bool NamespaceFilter::matches(std::string_view ns) const {
  auto hit = [&](const std::string& pattern) { return wildcard_match(pattern, ns); };
  return (include_.empty() || std::any_of(include_.begin(), include_.end(), hit)) && std::none_of(exclude_.begin(), exclude_.end(), hit);
}

bool NamespaceFilter::selects(std::string_view ns) const {
  auto dot = ns.find('.');
  auto database = ns.substr(0, dot);
  if (is_internal_database(database)) return false;
  if (dot == std::string_view::npos) return matches(ns);
  auto collection = ns.substr(dot + 1);
  auto same_database = [&](std::string_view name) { return matches(std::string(database) + "." + std::string(name)); };
  if (collection.starts_with(kBuckets)) return same_database(collection.substr(kBuckets.size()));
  // Temporary names of the server: tmpXXXXX.convertToCapped.<name>, tmpXXXXX.renameCollection, tmp.agg_out.<uuid> of
  // $out (seen on 6.0).
  if (collection.starts_with("tmp")) {
    if (auto at = collection.find(kConvertToCapped); at != std::string_view::npos) return same_database(collection.substr(at + kConvertToCapped.size()));
    if (collection.ends_with(".renameCollection") || collection.starts_with("tmp.agg_out."))
      return include_.empty() || std::any_of(include_.begin(), include_.end(), [&](const std::string& pattern) {
               return wildcard_match(pattern.substr(0, pattern.find('.')), database);
             });
  }
  return matches(ns);
}

std::string NamespaceFilter::renamed(std::string_view database, std::string_view collection) const {
  auto ns = std::string(database) + "." + std::string(collection);
  if (auto rule = renames_.find(ns); rule != renames_.end()) return rule->second;
  auto whole = renames_.find(std::string(database) + ".*");
  if (whole == renames_.end()) return ns;
  return whole->second.substr(0, whole->second.size() - 1) + std::string(collection);
}

std::string NamespaceFilter::forward(const std::string& ns) const {
  auto dot = ns.find('.');
  if (renames_.empty() || dot == std::string::npos) return ns;
  std::string_view database(ns.data(), dot), collection(ns.data() + dot + 1, ns.size() - dot - 1);
  if (collection.starts_with(kBuckets)) {
    auto there = renamed(database, collection.substr(kBuckets.size()));
    return there.insert(there.find('.') + 1, kBuckets);
  }
  if (auto at = collection.find(kConvertToCapped); collection.starts_with("tmp") && at != std::string_view::npos) {
    auto there = renamed(database, collection.substr(at + kConvertToCapped.size()));
    return there.substr(0, there.find('.') + 1) + std::string(collection);
  }
  return renamed(database, collection);
}

// What `ns` of the target is called on the source; its own name if no rule says otherwise.
std::string NamespaceFilter::backward(const std::string& ns) const {
  auto dot = ns.find('.');
  if (renames_.empty() || dot == std::string::npos) return ns;
  auto collection = ns.substr(dot + 1);
  if (collection.starts_with(kBuckets)) {
    auto there = backward(ns.substr(0, dot + 1) + collection.substr(kBuckets.size()));
    return there.insert(there.find('.') + 1, kBuckets);
  }
  if (auto at = collection.find(kConvertToCapped); collection.starts_with("tmp") && at != std::string::npos) {
    auto there = backward(ns.substr(0, dot + 1) + collection.substr(at + kConvertToCapped.size()));
    return there.substr(0, there.find('.') + 1) + collection;
  }
  for (const auto& [from, to] : renames_) {
    if (to == ns) return from;
    if (!to.ends_with(".*") || !std::string_view(ns).starts_with(to.substr(0, to.size() - 1))) continue;
    auto source = from.substr(0, from.size() - 1) + ns.substr(to.size() - 1);
    if (forward(source) == ns) return source;
  }
  return ns;
}

bool NamespaceFilter::includes(std::string_view ns) const {
  if (!inverted_) return selects(ns);
  auto name = std::string(ns);
  auto source = backward(name);
  return forward(source) == name && selects(source);
}

std::string NamespaceFilter::target(const std::string& ns) const { return inverted_ ? backward(ns) : forward(ns); }

bool NamespaceFilter::includes_target(const std::string& ns) const {
  if (inverted_) return selects(ns);
  auto source = backward(ns);
  return forward(source) == ns && selects(source);
}

NamespaceFilter NamespaceFilter::inverted() const {
  auto out = *this;
  out.inverted_ = !inverted_;
  return out;
}

}  // namespace mongotwin::oplog
