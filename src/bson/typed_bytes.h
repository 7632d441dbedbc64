// SPDX-License-Identifier: Apache-2.0
// typed_bytes: an element's type and value as one string, for maps: equal exactly where Element::same_value() is, whatever
// the keys. Pure.
#pragma once

#include <string>

#include "bson/view.h"

namespace mongotwin::bson {

[[nodiscard]] inline std::string typed_bytes(const Element& e) {
  auto out = std::string(1, static_cast<char>(e.type()));
  if (e) out += e.value_bytes();
  return out;
}

}  // namespace mongotwin::bson
