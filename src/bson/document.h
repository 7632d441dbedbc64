// SPDX-License-Identifier: Apache-2.0
// Document: an immutable BSON document that keeps its bytes alive. Copies are cheap and share the bytes; the bytes
// may be part of a larger buffer (a server's whole reply), which then lives as long as any Document in it: use
// detached() before keeping a small one for long. Thread-safe as shared_ptr is.
// Builder: makes documents. Owned by one thread.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "bson/view.h"

namespace mongotwin::bson {

class Document {
 public:
  Document() = default;
  Document(std::shared_ptr<const void> owner, View view) : owner_(std::move(owner)), view_(view) {}
  [[nodiscard]] static Document copy_of(View view);
  [[nodiscard]] static Document adopt(std::vector<std::uint8_t> bytes);
  // Parses extended JSON; throws std::invalid_argument. For tests and constants.
  [[nodiscard]] static Document from_json(const std::string& json);

  [[nodiscard]] const View& view() const { return view_; }
  operator View() const { return view_; }
  [[nodiscard]] Element operator[](std::string_view key) const { return view_[key]; }
  [[nodiscard]] Iterator begin() const { return view_.begin(); }
  [[nodiscard]] std::nullptr_t end() const { return nullptr; }
  [[nodiscard]] std::uint32_t size() const { return view_.size(); }
  [[nodiscard]] bool empty() const { return view_.empty(); }
  // The same document with bytes of its own.
  [[nodiscard]] Document detached() const { return copy_of(view_); }
  bool operator==(const Document& other) const { return view_ == other.view_; }

 private:
  std::shared_ptr<const void> owner_;
  View view_;
};

// Appends fields in order. Nested documents are opened and closed in pairs; finish() closes the outermost one.
class Builder {
 public:
  Builder() { bytes_.assign(4, 0); starts_.push_back(0); }

  Builder& raw(std::string_view element_bytes);                      // an element as it stands
  Builder& element(const Element& e) { return raw(e.raw()); }
  Builder& value(std::string_view key, const Element& e);            // another element's value under this key
  Builder& document(std::string_view key, View v);
  Builder& array(std::string_view key, View v);
  Builder& string(std::string_view key, std::string_view v);
  Builder& int32(std::string_view key, std::int32_t v);
  Builder& int64(std::string_view key, std::int64_t v);
  Builder& number(std::string_view key, double v);
  Builder& boolean(std::string_view key, bool v);
  Builder& null(std::string_view key);
  Builder& timestamp(std::string_view key, Timestamp v);
  Builder& date_ms(std::string_view key, std::int64_t v);
  Builder& uuid(std::string_view key, std::string_view sixteen_bytes);
  Builder& fields_of(View v);                                        // every field of v
  Builder& open_document(std::string_view key);
  Builder& open_array(std::string_view key);
  Builder& close();
  [[nodiscard]] std::size_t size() const { return bytes_.size(); }
  [[nodiscard]] Document finish();                                   // the builder is empty afterwards
  [[nodiscard]] std::vector<std::uint8_t> finish_bytes();
  void reserve(std::size_t bytes) { bytes_.reserve(bytes); }

 private:
  void head(Type type, std::string_view key);
  template <class T> void put(const T& v);
  std::vector<std::uint8_t> bytes_;
  std::vector<std::size_t> starts_;
};

}  // namespace mongotwin::bson
