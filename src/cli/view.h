// SPDX-License-Identifier: Apache-2.0
// The status in words: as the live view of a terminal, as one line for a log, as the table of `mongotwin status`.
// Pure: the snapshot and the time of day go in, lines come out.
#pragma once

#include <chrono>
#include <string>
#include <vector>

#include "status/status.h"

namespace mongotwin::cli {

using WallTime = std::chrono::system_clock::time_point;

struct Screen {
  std::size_t columns = 80, rows = 24;
};

[[nodiscard]] std::vector<std::string> progress_lines(const status::Status& s, WallTime now, Screen screen);
// Says the same as long as nothing happens, so that a log can leave it out.
[[nodiscard]] std::string summary_line(const status::Status& s);
[[nodiscard]] std::vector<std::string> status_lines(const status::Status& s, WallTime now);

}  // namespace mongotwin::cli
