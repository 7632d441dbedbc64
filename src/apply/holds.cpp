// SPDX-License-Identifier: Apache-2.0
#include "apply/holds.h"

#include <algorithm>

namespace mongotwin::apply {
namespace {

using Map = std::map<std::pair<std::string, std::string>, bson::Document>;

std::vector<Holds::Index> list(const Map& map) {
  std::vector<Holds::Index> out;
  for (const auto& [key, value] : map) out.push_back({key.first, key.second, value});
  return out;
}

void write(bson::Builder& b, const char* name, const Map& map) {
  b.open_array(name);
  int n = 0;
  for (const auto& [key, value] : map) b.open_document(std::to_string(n++)).string("ns", key.first).string("index", key.second).document("value", value).close();
  b.close();
}

void read(bson::View v, const char* name, Map& map) {
  map.clear();
  for (const auto& e : v.fields(name)) {
    auto one = e.fields();
    map[{std::string(one.string("ns").value_or("")), std::string(one.string("index").value_or(""))}] = bson::Document::copy_of(one.fields("value"));
  }
}

void move(Map& map, const std::string& from, const std::string& to) {
  std::erase_if(map, [&](const auto& e) { return e.first.first == to; });
  Map moved;
  for (auto it = map.begin(); it != map.end();)
    if (it->first.first == from) {
      moved[{to, it->first.second}] = it->second;
      it = map.erase(it);
    } else {
      ++it;
    }
  map.merge(moved);
}

}  // namespace

void Holds::hold_ttl(const std::string& ns, const std::string& index, bson::Document value) { Lock lock(m_); ttl_[{ns, index}] = std::move(value); }
void Holds::hold_collection_ttl(const std::string& ns, bson::Document value) { Lock lock(m_); collection_ttl_[{ns, ""}] = std::move(value); }
void Holds::hold_hidden(const std::string& ns, const std::string& index) { Lock lock(m_); hidden_[{ns, index}] = bson::Builder().boolean("hidden", true).finish(); }
void Holds::hold_unique(const std::string& ns, bson::Document spec) {
  Lock lock(m_);
  auto name = std::string(spec.view().string("name").value_or(""));
  unique_[{ns, name}] = std::move(spec);
}
bool Holds::holds_ttl(const std::string& ns, const std::string& index) const { Lock lock(m_); return ttl_.contains({ns, index}); }
bool Holds::holds_unique(const std::string& ns, const std::string& index) const { Lock lock(m_); return unique_.contains({ns, index}); }
bool Holds::holds_collection_ttl(const std::string& ns) const { Lock lock(m_); return collection_ttl_.contains({ns, ""}); }

bool Holds::holds_any(const std::string& ns) const {
  Lock lock(m_);
  auto of_it = [&](const auto& e) { return e.first.first == ns; };
  return std::any_of(ttl_.begin(), ttl_.end(), of_it) || std::any_of(unique_.begin(), unique_.end(), of_it) || std::any_of(collection_ttl_.begin(), collection_ttl_.end(), of_it) || std::any_of(hidden_.begin(), hidden_.end(), of_it);
}

void Holds::forget_index(const std::string& ns, const std::string& index) {
  Lock lock(m_);
  ttl_.erase({ns, index});
  hidden_.erase({ns, index});
  unique_.erase({ns, index});
}

void Holds::forget_hidden(const std::string& ns, const std::string& index) { Lock lock(m_); hidden_.erase({ns, index}); }
void Holds::forget_unique(const std::string& ns, const std::string& index) { Lock lock(m_); unique_.erase({ns, index}); }

void Holds::forget_collection(const std::string& ns) {
  Lock lock(m_);
  for (auto* map : {&ttl_, &unique_, &collection_ttl_, &hidden_}) std::erase_if(*map, [&](const auto& e) { return e.first.first == ns; });
}

void Holds::rename(const std::string& from, const std::string& to) {
  Lock lock(m_);
  for (auto* map : {&ttl_, &unique_, &collection_ttl_, &hidden_}) move(*map, from, to);
}

std::vector<Holds::Index> Holds::ttls() const { Lock lock(m_); return list(ttl_); }
std::vector<Holds::Index> Holds::collection_ttls() const { Lock lock(m_); return list(collection_ttl_); }
std::vector<Holds::Index> Holds::hidden() const { Lock lock(m_); return list(hidden_); }
std::vector<Holds::Index> Holds::uniques() const { Lock lock(m_); return list(unique_); }

bson::Document Holds::to_document() const {
  Lock lock(m_);
  bson::Builder b;
  write(b, "ttl", ttl_);
  write(b, "collection_ttl", collection_ttl_);
  write(b, "hidden", hidden_);
  write(b, "unique", unique_);
  return b.finish();
}

void Holds::load(bson::View document) {
  Lock lock(m_);
  read(document, "ttl", ttl_);
  read(document, "collection_ttl", collection_ttl_);
  read(document, "hidden", hidden_);
  read(document, "unique", unique_);
}

}  // namespace mongotwin::apply
