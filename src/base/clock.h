// SPDX-License-Identifier: Apache-2.0
// Clock: one of the five seams, so that a simulation decides what time it is. Thread-safe.
#pragma once

#include <chrono>

namespace mongotwin {

using Millis = std::chrono::milliseconds;

class Clock {
 public:
  using Steady = std::chrono::steady_clock::time_point;
  virtual ~Clock() = default;
  [[nodiscard]] virtual Steady now() const = 0;                              // for intervals
  [[nodiscard]] virtual std::chrono::system_clock::time_point wall() const = 0;  // for lag and for people
};

class SystemClock final : public Clock {
 public:
  [[nodiscard]] Steady now() const override { return std::chrono::steady_clock::now(); }
  [[nodiscard]] std::chrono::system_clock::time_point wall() const override { return std::chrono::system_clock::now(); }
};

}  // namespace mongotwin
