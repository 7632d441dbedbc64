// SPDX-License-Identifier: Apache-2.0
// Window: records that wait in memory for the consumer, and how many bytes they are. Guarded by its owner's lock.
#pragma once

#include <deque>
#include <utility>

#include "journal/journal.h"

namespace mongotwin::journal {

class Window {
 public:
  void push(std::vector<Record>& batch) {
    for (auto& record : batch) {
      bytes_ += record.entry.size();
      records_.push_back(std::move(record));
    }
  }
  [[nodiscard]] std::vector<Record> take(TakeLimits limits) {
    std::vector<Record> out;
    for (std::size_t bytes = 0; !records_.empty() && out.size() < limits.records;) {
      bytes += records_.front().entry.size();
      if (!out.empty() && bytes > limits.bytes) break;
      bytes_ -= records_.front().entry.size();
      out.push_back(std::move(records_.front()));
      records_.pop_front();
    }
    return out;
  }
  [[nodiscard]] std::size_t bytes() const { return bytes_; }
  [[nodiscard]] bool empty() const { return records_.empty(); }

 private:
  std::deque<Record> records_;
  std::size_t bytes_ = 0;
};

}  // namespace mongotwin::journal
