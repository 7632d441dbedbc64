// SPDX-License-Identifier: Apache-2.0
// The status in words: as the live view of a terminal, as one line for a log, as the table of `mongotwin status`.
// Pure: the snapshot, the rates and the time of day go in, lines come out.
#pragma once

#include <chrono>
#include <deque>
#include <string>
#include <vector>

#include "status/status.h"

namespace mongotwin::cli {

using WallTime = std::chrono::system_clock::time_point;
using SteadyTime = std::chrono::steady_clock::time_point;

// How fast the copy goes, over the last seconds. Owned by one thread.
class RateMeter {
 public:
  void update(const status::CopyProgress& copy, SteadyTime now);
  [[nodiscard]] double documents_per_second() const { return documents_; }
  [[nodiscard]] double bytes_per_second() const { return bytes_; }

 private:
  struct Sample {
    SteadyTime at;
    std::uint64_t documents, bytes;
  };
  std::deque<Sample> samples_;
  double documents_ = 0, bytes_ = 0;
};

struct Screen {
  std::size_t columns = 80, rows = 24;
};

[[nodiscard]] std::vector<std::string> progress_lines(const status::Status& s, const RateMeter& rates, WallTime now, Screen screen);
// Says the same as long as nothing happens, so that a log can leave it out.
[[nodiscard]] std::string summary_line(const status::Status& s, const RateMeter& rates);
[[nodiscard]] std::vector<std::string> status_lines(const status::Status& s, WallTime now);

}  // namespace mongotwin::cli
