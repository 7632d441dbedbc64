// SPDX-License-Identifier: Apache-2.0
// WaitBoard: who waits for passing trouble to end, and why. Shown as warnings, logged once when it starts and once
// when it ends. Thread-safe.
#pragma once

#include <functional>
#include <map>
#include <string>
#include <vector>

#include "base/annotations.h"
#include "base/log.h"

namespace mongotwin::control {

class WaitBoard {
 public:
  // A reporter for one component; must not outlive the board.
  [[nodiscard]] std::function<void(const std::string&)> reporter(std::string component) {
    return [this, component = std::move(component)](const std::string& reason) { report(component, reason); };
  }
  // An empty reason: the trouble is over.
  void report(const std::string& component, const std::string& reason) {
    Lock lock(m_);
    auto it = reasons_.find(component);
    if (reason.empty()) {
      if (it == reasons_.end()) return;
      reasons_.erase(it);
      log::info(component, "the trouble is over, going on");
    } else {
      if (it == reasons_.end()) log::warn(component, "waiting: {}", reason);
      reasons_[component] = redact(reason);
    }
  }
  [[nodiscard]] std::vector<std::string> reasons() const {
    Lock lock(m_);
    std::vector<std::string> out;
    for (const auto& [component, reason] : reasons_) out.push_back(component + ": " + reason);
    return out;
  }

 private:
  mutable Mutex m_;
  std::map<std::string, std::string> reasons_ GUARDED_BY(m_);
};

}  // namespace mongotwin::control
