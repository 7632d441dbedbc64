// SPDX-License-Identifier: Apache-2.0
#include "bson/document.h"

#include <bson/bson.h>

#include <stdexcept>

namespace mongotwin::bson {

Document Document::copy_of(View view) {
  return adopt(std::vector<std::uint8_t>(view.data(), view.data() + view.size()));
}

Document Document::adopt(std::vector<std::uint8_t> bytes) {
  auto owner = std::make_shared<const std::vector<std::uint8_t>>(std::move(bytes));
  View view(owner->data(), static_cast<std::uint32_t>(owner->size()));
  return {std::move(owner), view};
}

Document Document::from_json(const std::string& json) {
  bson_error_t error;
  bson_t* b = bson_new_from_json(reinterpret_cast<const std::uint8_t*>(json.data()), static_cast<ssize_t>(json.size()), &error);
  if (!b) throw std::invalid_argument(error.message);
  auto doc = copy_of(View(b));
  bson_destroy(b);
  return doc;
}

template <class T>
void Builder::put(const T& v) {
  const auto* p = reinterpret_cast<const std::uint8_t*>(&v);
  bytes_.insert(bytes_.end(), p, p + sizeof v);
}

void Builder::head(Type type, std::string_view key) {
  bytes_.push_back(static_cast<std::uint8_t>(type));
  raw(key);
  bytes_.push_back(0);
}

Builder& Builder::raw(std::string_view element_bytes) {
  // As bytes of the vector's own type: else it converts one by one what it could move as a whole.
  const auto* bytes = reinterpret_cast<const std::uint8_t*>(element_bytes.data());
  bytes_.insert(bytes_.end(), bytes, bytes + element_bytes.size());
  return *this;
}

Builder& Builder::value(std::string_view key, const Element& e) {
  head(e.type(), key);
  return raw(e.value_bytes());
}

Builder& Builder::document(std::string_view key, View v) {
  head(Type::Object, key);
  return raw(v.bytes());
}

Builder& Builder::array(std::string_view key, View v) {
  head(Type::Array, key);
  return raw(v.bytes());
}

Builder& Builder::string(std::string_view key, std::string_view v) {
  head(Type::String, key);
  put(static_cast<std::uint32_t>(v.size() + 1));
  raw(v);
  bytes_.push_back(0);
  return *this;
}

Builder& Builder::int32(std::string_view key, std::int32_t v) { head(Type::Int32, key); put(v); return *this; }
Builder& Builder::int64(std::string_view key, std::int64_t v) { head(Type::Int64, key); put(v); return *this; }
Builder& Builder::number(std::string_view key, double v) { head(Type::Double, key); put(v); return *this; }
Builder& Builder::null(std::string_view key) { head(Type::Null, key); return *this; }
Builder& Builder::date_ms(std::string_view key, std::int64_t v) { head(Type::Date, key); put(v); return *this; }

Builder& Builder::boolean(std::string_view key, bool v) {
  head(Type::Bool, key);
  bytes_.push_back(v ? 1 : 0);
  return *this;
}

Builder& Builder::timestamp(std::string_view key, Timestamp v) {
  head(Type::Timestamp, key);
  put(v.i);
  put(v.t);
  return *this;
}

Builder& Builder::uuid(std::string_view key, std::string_view sixteen_bytes) {
  head(Type::Binary, key);
  put(static_cast<std::uint32_t>(sixteen_bytes.size()));
  bytes_.push_back(4);
  return raw(sixteen_bytes);
}

Builder& Builder::fields_of(View v) {
  return raw(v.bytes().substr(4, v.size() - 5));
}

Builder& Builder::open_document(std::string_view key) {
  head(Type::Object, key);
  starts_.push_back(bytes_.size());
  bytes_.insert(bytes_.end(), 4, 0);
  return *this;
}

Builder& Builder::open_array(std::string_view key) {
  open_document(key);
  bytes_[starts_.back() - key.size() - 2] = static_cast<std::uint8_t>(Type::Array);
  return *this;
}

Builder& Builder::close() {
  bytes_.push_back(0);
  auto size = static_cast<std::uint32_t>(bytes_.size() - starts_.back());
  std::memcpy(bytes_.data() + starts_.back(), &size, 4);
  starts_.pop_back();
  return *this;
}

std::vector<std::uint8_t> Builder::finish_bytes() {
  while (!starts_.empty()) close();
  auto out = std::move(bytes_);
  *this = Builder();
  return out;
}

Document Builder::finish() { return Document::adopt(finish_bytes()); }

}  // namespace mongotwin::bson
