// SPDX-License-Identifier: Apache-2.0
// The time of day as verifications note it. Thread-safe.
#pragma once

#include <chrono>
#include <cstdint>

namespace mongotwin::verify {

[[nodiscard]] inline std::int64_t wall_ms() { return std::chrono::duration_cast<std::chrono::milliseconds>(std::chrono::system_clock::now().time_since_epoch()).count(); }

}  // namespace mongotwin::verify
