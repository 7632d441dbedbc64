// SPDX-License-Identifier: Apache-2.0
// The status as JSON, the form in which it crosses the API: to_json writes it, from_json reads it back for the command
// line. Names and order are the API's contract (GET /api/v1/status); an unknown lag, ETA or error is null. Pure.
#pragma once

#include <string>

#include "status/status.h"

namespace mongotwin::status {

[[nodiscard]] std::string to_json(const Status& status);

// Fields that are missing keep their defaults (an older server); throws Error(fix_config) if the text is no status.
[[nodiscard]] Status from_json(const std::string& text);

}  // namespace mongotwin::status
