// SPDX-License-Identifier: Apache-2.0
// How a field of the API's JSON is written and read; one that is not there, or null, leaves what it is read into. Pure;
// for the .cpp files of this folder.
#pragma once

#include <nlohmann/json.hpp>
#include <optional>

#include "bson/view.h"

namespace mongotwin::status {

using Json = nlohmann::ordered_json;

template <class T>
Json or_null(const std::optional<T>& value) {
  return value ? Json(*value) : Json(nullptr);
}

template <class T>
void read(const Json& object, const char* key, T& into) {
  auto at = object.find(key);
  if (at != object.end() && !at->is_null()) into = at->get<T>();
}

template <class T>
void read(const Json& object, const char* key, std::optional<T>& into) {
  auto at = object.find(key);
  if (at != object.end() && !at->is_null()) into = at->get<T>();
}

inline Json write_timestamp(const bson::Timestamp& ts) { return {{"t", ts.t}, {"i", ts.i}}; }

inline bson::Timestamp read_timestamp(const Json& object, const char* key) {
  bson::Timestamp ts;
  if (auto at = object.find(key); at != object.end()) {
    read(*at, "t", ts.t);
    read(*at, "i", ts.i);
  }
  return ts;
}

}  // namespace mongotwin::status
