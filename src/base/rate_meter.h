// SPDX-License-Identifier: Apache-2.0
// RateMeter: how fast a count grows, over the last seconds. Owned by one thread.
#pragma once

#include <cstdint>
#include <deque>

#include "base/clock.h"

namespace mongotwin {

class RateMeter {
 public:
  explicit RateMeter(std::chrono::seconds window) : window_(window) {}

  // A second. A count that falls back begins anew.
  double update(std::uint64_t count, Clock::Steady now) {
    if (!samples_.empty() && count < samples_.back().count) samples_.clear();
    samples_.push_back({now, count});
    while (samples_.size() > 2 && now - samples_[1].at >= window_) samples_.pop_front();
    auto seconds = std::chrono::duration<double>(now - samples_.front().at).count();
    return seconds > 0 ? static_cast<double>(count - samples_.front().count) / seconds : 0;
  }

 private:
  struct Sample {
    Clock::Steady at;
    std::uint64_t count;
  };
  const std::chrono::seconds window_;
  std::deque<Sample> samples_;
};

}  // namespace mongotwin
