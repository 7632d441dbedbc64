// SPDX-License-Identifier: Apache-2.0
// Backoff: growing pauses between tries, with jitter so that lanes don't knock in step. Owned by one thread.
#pragma once

#include <chrono>
#include <random>

namespace mongotwin {

class Backoff {
 public:
  explicit Backoff(std::chrono::milliseconds first = std::chrono::milliseconds(50),
                   std::chrono::milliseconds most = std::chrono::milliseconds(5000))
      : first_(first), most_(most), next_(first) {}

  [[nodiscard]] std::chrono::milliseconds next() {
    auto base = next_;
    next_ = std::min(most_, next_ * 2);
    std::uniform_int_distribution<long> jitter(base.count() / 2, base.count());
    return std::chrono::milliseconds(jitter(random_));
  }
  void reset() { next_ = first_; }

 private:
  std::chrono::milliseconds first_, most_, next_;
  std::minstd_rand random_{std::random_device{}()};
};

}  // namespace mongotwin
