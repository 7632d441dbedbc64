// SPDX-License-Identifier: Apache-2.0
// Numbers, sizes, times and bars as a person reads them. Pure.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace mongotwin::cli {

[[nodiscard]] std::string count(std::uint64_t n);         // 1,234,567
[[nodiscard]] std::string rate(double per_second);        // 0.4, 12, 1,234
[[nodiscard]] std::string size(std::uint64_t bytes);      // 5.6 MB
[[nodiscard]] std::string duration(std::uint64_t seconds);  // 45 s, 3 min 20 s, 2 h 5 min, 3 d 4 h
[[nodiscard]] std::string lag(std::int64_t lag_ms);       // 0.3 s, 12.3 s, 3 min 20 s

// 0 to 1; nothing to do at all counts as done.
[[nodiscard]] double fraction(std::uint64_t done, std::uint64_t total);
[[nodiscard]] std::string percent(double fraction);                      // " 45.2 %"; 100 % only when it is
[[nodiscard]] std::string bar(double fraction, std::size_t characters);  // [####------]

// At most `characters` of it, and none that moves the cursor: names on a server may hold anything.
[[nodiscard]] std::string clip(std::string_view text, std::size_t characters);
// As above, filled up with blanks.
[[nodiscard]] std::string pad(std::string_view text, std::size_t characters);

}  // namespace mongotwin::cli
