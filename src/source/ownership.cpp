// SPDX-License-Identifier: Apache-2.0
#include "source/ownership.h"

#include <openssl/evp.h>

#include <algorithm>
#include <cstring>
#include <memory>

#include "base/error.h"
#include "bson/order.h"

namespace mongotwin::source {
namespace {

using bson::Type;

// What the server feeds its MD5 with: src/mongo/db/hasher.cpp.
class Hasher {
 public:
  Hasher() {
    static EVP_MD* const md5 = EVP_MD_fetch(nullptr, "MD5", nullptr);
    if (md5 == nullptr || EVP_DigestInit_ex2(context(), md5, nullptr) != 1)
      throw Error(Remedy::fix_config, "OpenSSL has no MD5 here, which hashed shard keys are made of", "allow MD5 in OpenSSL's configuration (FIPS mode forbids it), or set reading: id");
    number(std::int32_t{0});  // the seed
  }
  template <class T>
  void number(T v) {
    bytes(&v, sizeof v);
  }
  void bytes(const void* data, std::size_t size) { EVP_DigestUpdate(context(), data, size); }
  [[nodiscard]] std::int64_t result() {
    unsigned char digest[EVP_MAX_MD_SIZE];
    EVP_DigestFinal_ex(context(), digest, nullptr);
    std::int64_t first = 0;
    std::memcpy(&first, digest, sizeof first);
    return first;
  }

 private:
  static EVP_MD_CTX* context() {
    static thread_local std::unique_ptr<EVP_MD_CTX, decltype(&EVP_MD_CTX_free)> context(EVP_MD_CTX_new(), EVP_MD_CTX_free);
    return context.get();
  }
};

void feed(Hasher& hasher, const bson::Element& e, bool with_name);

void feed_fields(Hasher& hasher, bson::View fields) {
  for (const auto& e : fields) feed(hasher, e, true);
  hasher.number(std::int32_t{0});  // its end counts as an element without a name
}

void feed(Hasher& hasher, const bson::Element& e, bool with_name) {
  hasher.number(static_cast<std::int32_t>(bson::canonical_rank(e.type())));
  if (with_name) hasher.bytes(e.key().data(), e.key().size() + 1);
  if (!e) return;
  auto value = e.value_bytes();
  if (e.is_object() || e.is_array()) {
    feed_fields(hasher, e.fields());
  } else if (e.type() == Type::CodeWithScope) {
    std::int32_t length = 0;
    std::memcpy(&length, value.data() + 4, sizeof length);
    hasher.bytes(value.data() + 8, static_cast<std::size_t>(length));
    auto scope = value.substr(8 + static_cast<std::size_t>(length));
    feed_fields(hasher, bson::View(reinterpret_cast<const std::uint8_t*>(scope.data()), static_cast<std::uint32_t>(scope.size())));
  } else if (e.is_number()) {
    hasher.number(bson::whole_number(e));
  } else {
    hasher.bytes(value.data(), value.size());
  }
}

}  // namespace

std::int64_t hash_of(const bson::Element& value) {
  Hasher hasher;
  feed(hasher, value, false);
  return hasher.result();
}

ShardKey::ShardKey(bson::View pattern) {
  for (const auto& e : pattern) parts_.push_back({std::string(e.key()), e.string() == "hashed"});
}

ShardKey::Value::Value(const ShardKey& key, bson::View document) {
  fields_.reserve(key.parts().size());
  for (const auto& part : key.parts()) {
    auto element = document.at_path(part.path);
    fields_.push_back({element, part.hashed ? std::optional(hash_of(element)) : std::nullopt});
  }
}

int ShardKey::Value::compare_to(bson::View bound) const {
  auto at = bound.begin();
  for (const auto& field : fields_) {
    auto c = field.hash ? -bson::compare(*at, *field.hash) : bson::compare(field.element, *at);
    if (c != 0) return c;
    ++at;
  }
  return 0;
}

Ownership::Ownership(bson::View key_pattern, std::vector<Chunk> chunks) : key_(key_pattern) {
  for (auto& chunk : chunks) {
    if (std::find(shards_.begin(), shards_.end(), chunk.shard) == shards_.end()) shards_.push_back(chunk.shard);
    if (chunks_.empty() || chunks_.back().shard != chunk.shard) chunks_.push_back(std::move(chunk));
  }
  std::sort(shards_.begin(), shards_.end());
}

oplog::ShardIndex Ownership::owner_of(bson::View document) const {
  if (chunks_.size() == 1) return chunks_.front().shard;
  ShardKey::Value key(key_, document);
  auto behind = std::partition_point(chunks_.begin() + 1, chunks_.end(), [&](const Chunk& chunk) { return key.compare_to(chunk.min) >= 0; });
  return std::prev(behind)->shard;
}

}  // namespace mongotwin::source
