// SPDX-License-Identifier: Apache-2.0
// Borrowed BSON: View is one document (or array), Element one field of it. Neither owns bytes; the buffer they
// point into must outlive them. Immutable, therefore thread-safe. Bytes that come from outside are checked once,
// by validate(); iteration afterwards trusts the lengths inside and aborts on a broken one.
// Format: bsonspec.org, version 1.1.
#pragma once

#include <cstdint>
#include <cstring>
#include <optional>
#include <string>
#include <string_view>

typedef struct _bson_t bson_t;

namespace mongotwin::bson {

// The type byte of an element; values as in the BSON specification.
enum class Type : std::uint8_t {
  Eod = 0x00, Double = 0x01, String = 0x02, Object = 0x03, Array = 0x04, Binary = 0x05, Undefined = 0x06,
  ObjectId = 0x07, Bool = 0x08, Date = 0x09, Null = 0x0a, Regex = 0x0b, DbPointer = 0x0c, Code = 0x0d,
  Symbol = 0x0e, CodeWithScope = 0x0f, Int32 = 0x10, Timestamp = 0x11, Int64 = 0x12, Decimal128 = 0x13,
  MaxKey = 0x7f, MinKey = 0xff,
};

// A BSON timestamp: seconds since 1970 and a counter within the second.
struct Timestamp {
  std::uint32_t t = 0;
  std::uint32_t i = 0;
  auto operator<=>(const Timestamp&) const = default;
  [[nodiscard]] bool is_null() const { return t == 0 && i == 0; }
};

class View;

// One field. A default-constructed Element means "no such field" and converts to false.
class Element {
 public:
  Element() = default;
  Element(const std::uint8_t* start, std::uint32_t key_size, std::uint32_t value_size)
      : start_(start), key_size_(key_size), value_size_(value_size) {}

  explicit operator bool() const { return start_ != nullptr; }
  [[nodiscard]] Type type() const { return start_ ? static_cast<Type>(*start_) : Type::Eod; }
  [[nodiscard]] std::string_view key() const {
    return {reinterpret_cast<const char*>(start_ + 1), key_size_};
  }
  // The value's bytes without type and key.
  [[nodiscard]] std::string_view value_bytes() const {
    return {reinterpret_cast<const char*>(start_ + key_size_ + 2), value_size_};
  }
  // Type, key and value as they stand in the document.
  [[nodiscard]] std::string_view raw() const {
    return {reinterpret_cast<const char*>(start_), key_size_ + 2 + value_size_};
  }
  [[nodiscard]] bool is_object() const { return type() == Type::Object; }
  [[nodiscard]] bool is_array() const { return type() == Type::Array; }
  [[nodiscard]] bool is_number() const {
    return type() == Type::Int32 || type() == Type::Int64 || type() == Type::Double || type() == Type::Decimal128;
  }
  // Same type and same value bytes; keys are not compared.
  [[nodiscard]] bool same_value(const Element& other) const {
    return type() == other.type() && value_bytes() == other.value_bytes();
  }

  // Typed getters: empty when absent or of another type.
  [[nodiscard]] std::optional<std::string_view> string() const;   // also Symbol and Code
  [[nodiscard]] std::optional<View> document() const;             // Object or Array
  [[nodiscard]] View fields() const;                              // the same; empty where document() is
  [[nodiscard]] std::optional<bool> boolean() const;
  [[nodiscard]] std::optional<std::int64_t> integer() const;      // Int32, Int64, whole Double
  [[nodiscard]] std::optional<Timestamp> timestamp() const;
  [[nodiscard]] std::optional<std::int64_t> date_ms() const;
  // The 16 bytes of a UUID (Binary subtype 4), as a string of bytes.
  [[nodiscard]] std::optional<std::string> uuid() const;
  // true for true, non-zero numbers; false otherwise and when absent (as the server reads flags).
  [[nodiscard]] bool truthy() const;

 private:
  const std::uint8_t* start_ = nullptr;
  std::uint32_t key_size_ = 0;
  std::uint32_t value_size_ = 0;
};

class Iterator {
 public:
  explicit Iterator(const std::uint8_t* at) : at_(at) { load(); }
  const Element& operator*() const { return element_; }
  const Element* operator->() const { return &element_; }
  Iterator& operator++();
  bool operator==(std::nullptr_t) const { return !element_; }

 private:
  void load();
  const std::uint8_t* at_;
  Element element_;
};

class View {
 public:
  View();  // the empty document
  View(const std::uint8_t* data, std::uint32_t size) : data_(data), size_(size) {}
  explicit View(const bson_t* bson);

  [[nodiscard]] const std::uint8_t* data() const { return data_; }
  [[nodiscard]] std::uint32_t size() const { return size_; }
  [[nodiscard]] std::string_view bytes() const { return {reinterpret_cast<const char*>(data_), size_}; }
  [[nodiscard]] bool empty() const { return size_ <= 5; }
  [[nodiscard]] Iterator begin() const { return Iterator(data_ + 4); }
  [[nodiscard]] std::nullptr_t end() const { return nullptr; }

  // The first field of that exact name; dots have no meaning here.
  [[nodiscard]] Element operator[](std::string_view key) const;
  // Follows dots through objects (not arrays): "a.b" is field b of object a.
  [[nodiscard]] Element at_path(std::string_view dotted) const;
  [[nodiscard]] std::optional<std::string_view> string(std::string_view key) const { return (*this)[key].string(); }
  [[nodiscard]] std::optional<View> document(std::string_view key) const { return (*this)[key].document(); }
  [[nodiscard]] std::optional<std::int64_t> integer(std::string_view key) const { return (*this)[key].integer(); }
  // The sub-document or array under `key`, empty if there is none. By value, so that a range-for may loop over it.
  [[nodiscard]] View fields(std::string_view key) const { return (*this)[key].document().value_or(View()); }

  // A bson_t that borrows these bytes, for calls into libbson and libmongoc.
  void borrow(bson_t* out) const;

  bool operator==(const View& other) const { return bytes() == other.bytes(); }

 private:
  const std::uint8_t* data_;
  std::uint32_t size_;
};

// True if the bytes are one well-formed document, sub-documents included.
[[nodiscard]] bool validate(const std::uint8_t* data, std::size_t size);

// Canonical enough for a person: relaxed extended JSON, cut to `limit` characters.
[[nodiscard]] std::string to_json(View view, std::size_t limit = 512);
// The whole of it, every type told apart.
[[nodiscard]] std::string to_canonical_json(View view);
// The value alone, e.g. for naming an _id in a message.
[[nodiscard]] std::string to_json(const Element& element, std::size_t limit = 512);

}  // namespace mongotwin::bson
