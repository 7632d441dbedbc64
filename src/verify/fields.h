// SPDX-License-Identifier: Apache-2.0
// In which fields two documents differ, in words and without their values: "field a.b: int on the source, long on the
// target". Pure.
#pragma once

#include <string>

#include "bson/view.h"

namespace mongotwin::verify {

inline constexpr int kFieldsNamedMax = 8;

// Empty if they are the same bytes.
[[nodiscard]] std::string describe_difference(bson::View source, bson::View target);
[[nodiscard]] const char* type_name(bson::Type type);

}  // namespace mongotwin::verify
