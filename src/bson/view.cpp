// SPDX-License-Identifier: Apache-2.0
#include "bson/view.h"

#include <bson/bson.h>

#include <cmath>
#include <cstdio>
#include <cstdlib>

#include "bson/document.h"

namespace mongotwin::bson {
namespace {

constexpr std::uint8_t kEmpty[5] = {5, 0, 0, 0, 0};

template <class T>
T load(const void* at) {
  T v;
  std::memcpy(&v, at, sizeof v);  // BSON is little-endian, and so is every platform that mongod runs on but s390x
  return v;
}

[[noreturn]] void broken(const char* what) {
  std::fprintf(stderr, "broken BSON: %s\n", what);
  std::abort();
}

std::uint32_t value_size(Type type, const std::uint8_t* v) {
  switch (type) {
    case Type::Double: case Type::Date: case Type::Timestamp: case Type::Int64: return 8;
    case Type::String: case Type::Code: case Type::Symbol: return 4 + load<std::uint32_t>(v);
    case Type::Object: case Type::Array: case Type::CodeWithScope: return load<std::uint32_t>(v);
    case Type::Binary: return 5 + load<std::uint32_t>(v);
    case Type::Undefined: case Type::Null: case Type::MinKey: case Type::MaxKey: return 0;
    case Type::ObjectId: return 12;
    case Type::Bool: return 1;
    case Type::Regex: {
      auto a = std::strlen(reinterpret_cast<const char*>(v)) + 1;
      return static_cast<std::uint32_t>(a + std::strlen(reinterpret_cast<const char*>(v + a)) + 1);
    }
    case Type::DbPointer: return 4 + load<std::uint32_t>(v) + 12;
    case Type::Int32: return 4;
    case Type::Decimal128: return 16;
    case Type::Eod: break;
  }
  broken("unknown element type");
}

}  // namespace

void Iterator::load() {
  if (*at_ == 0) {
    element_ = Element();
    return;
  }
  auto key_size = static_cast<std::uint32_t>(std::strlen(reinterpret_cast<const char*>(at_ + 1)));
  element_ = Element(at_, key_size, value_size(static_cast<Type>(*at_), at_ + key_size + 2));
}

Iterator& Iterator::operator++() {
  at_ += element_.raw().size();
  load();
  return *this;
}

View::View() : data_(kEmpty), size_(5) {}
View::View(const bson_t* bson) : data_(bson_get_data(bson)), size_(bson->len) {}

void View::borrow(bson_t* out) const {
  if (!bson_init_static(out, data_, size_)) broken("document length does not match its buffer");
}

Element View::operator[](std::string_view key) const {
  for (auto it = begin(); it != nullptr; ++it)
    if (it->key() == key) return *it;
  return {};
}

Element View::at_path(std::string_view dotted) const {
  View v = *this;
  for (;;) {
    auto dot = dotted.find('.');
    Element e = v[dotted.substr(0, dot)];
    if (dot == std::string_view::npos || !e) return e;
    if (!e.is_object()) return {};
    v = *e.document();
    dotted.remove_prefix(dot + 1);
  }
}

std::optional<std::string_view> Element::string() const {
  if (type() != Type::String && type() != Type::Symbol && type() != Type::Code) return {};
  auto v = value_bytes();
  return v.substr(4, v.size() - 5);
}

std::optional<View> Element::document() const {
  if (!is_object() && !is_array()) return {};
  auto v = value_bytes();
  return View(reinterpret_cast<const std::uint8_t*>(v.data()), static_cast<std::uint32_t>(v.size()));
}

View Element::fields() const { return document().value_or(View()); }

std::optional<bool> Element::boolean() const {
  if (type() != Type::Bool) return {};
  return value_bytes()[0] != 0;
}

std::optional<std::int64_t> Element::integer() const {
  const char* v = type() == Type::Eod ? nullptr : value_bytes().data();
  if (type() == Type::Int32) return load<std::int32_t>(v);
  if (type() == Type::Int64) return load<std::int64_t>(v);
  if (type() == Type::Double) {
    auto d = load<double>(v);
    if (d == std::floor(d) && std::abs(d) < 9.0e18) return static_cast<std::int64_t>(d);
  }
  return {};
}

std::optional<Timestamp> Element::timestamp() const {
  if (type() != Type::Timestamp) return {};
  const char* v = value_bytes().data();
  return Timestamp{load<std::uint32_t>(v + 4), load<std::uint32_t>(v)};
}

std::optional<std::int64_t> Element::date_ms() const {
  if (type() != Type::Date) return {};
  return load<std::int64_t>(value_bytes().data());
}

std::optional<std::string> Element::uuid() const {
  if (type() != Type::Binary) return {};
  auto v = value_bytes();
  if (v.size() != 21 || v[4] != 4) return {};
  return std::string(v.substr(5));
}

bool Element::truthy() const {
  if (type() == Type::Bool) return *boolean();
  if (type() == Type::Double) return load<double>(value_bytes().data()) != 0;
  return integer().value_or(0) != 0;
}

bool validate(const std::uint8_t* data, std::size_t size) {
  bson_t b;
  return size >= 5 && bson_init_static(&b, data, size) && bson_validate(&b, BSON_VALIDATE_NONE, nullptr);
}

std::string to_json(View view, std::size_t limit) {
  bson_t b;
  view.borrow(&b);
  std::size_t size = 0;
  char* json = bson_as_relaxed_extended_json(&b, &size);
  if (!json) return "(not representable as JSON)";
  std::string out(json, size);
  bson_free(json);
  if (out.size() > limit) out = out.substr(0, limit) + "…";
  return out;
}

std::string to_canonical_json(View view) {
  bson_t b;
  view.borrow(&b);
  std::size_t size = 0;
  char* json = bson_as_canonical_extended_json(&b, &size);
  if (!json) return "\"(not representable as JSON)\"";
  std::string out(json, size);
  bson_free(json);
  return out;
}

std::string to_json(const Element& element, std::size_t limit) {
  if (!element) return "(none)";
  auto text = to_json(Builder().value("v", element).finish(), limit + 10);  // { "v" : … }
  if (text.starts_with("{ \"v\" : ")) text = text.substr(8);
  if (text.ends_with(" }")) text.resize(text.size() - 2);
  return text;
}

}  // namespace mongotwin::bson
