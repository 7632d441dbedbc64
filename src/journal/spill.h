// SPDX-License-Identifier: Apache-2.0
// Spill: documents that must be kept for an unknown time (the parts of open transactions). Up to a limit they stay in
// memory; beyond it large ones go to a nameless file and are mapped when they are looked at, so that the kernel can
// take their pages back. What keep() gives is an ordinary Document and may outlive the Spill; the file's room is given
// back with the last one. The file has no name: a crash leaves nothing behind.
// Thread-safe.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <string>

#include "base/annotations.h"
#include "bson/document.h"

namespace mongotwin::journal {

class Spill {
 public:
  // `directory` is made when it is needed first.
  Spill(std::string directory, std::uint64_t memory_bytes);
  // The document with bytes of its own, in memory or in the file. A full disk is warned of once; then memory it is.
  [[nodiscard]] bson::Document keep(bson::View document);
  [[nodiscard]] std::uint64_t bytes_in_memory() const { return *in_memory_; }
  [[nodiscard]] std::uint64_t bytes_on_disk() const;

 private:
  class File;
  [[nodiscard]] bson::Document in_memory(bson::View document);

  const std::string directory_;
  const std::uint64_t memory_bytes_;
  std::shared_ptr<std::atomic<std::uint64_t>> in_memory_ = std::make_shared<std::atomic<std::uint64_t>>(0);
  mutable Mutex m_;
  std::shared_ptr<File> file_ GUARDED_BY(m_);
  bool warned_ GUARDED_BY(m_) = false;
};

}  // namespace mongotwin::journal
