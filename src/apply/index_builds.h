// SPDX-License-Identifier: Apache-2.0
// IndexBuilds: which index builds that mongotwin asked for run on the target now, and how far the target says they are.
// DdlApplier says what begins and ends, IndexBuildWatch what the target says. Thread-safe.
#pragma once

#include <cstdint>
#include <list>
#include <optional>
#include <string>
#include <vector>

#include "base/annotations.h"
#include "base/worker.h"
#include "bson/document.h"

namespace mongotwin::apply {

// A build passes through phases, each of which counts from 0 again. Of several shards, those that are the farthest
// behind are what is waited for: `done` and `total` are the sums of these.
struct IndexBuild {
  std::string ns;
  std::vector<std::string> indexes;  // names
  std::string phase;                 // in words; empty: not known (yet)
  std::optional<std::uint64_t> done, total;
};

class IndexBuilds {
 public:
  // The build ends with it.
  class UnderWay {
   public:
    UnderWay(IndexBuilds& builds, std::list<IndexBuild>::iterator build) : builds_(builds), build_(build) {}
    ~UnderWay();
    UnderWay(const UnderWay&) = delete;
    UnderWay& operator=(const UnderWay&) = delete;

   private:
    IndexBuilds& builds_;
    std::list<IndexBuild>::iterator build_;
  };
  [[nodiscard]] UnderWay begin(std::string ns, std::vector<std::string> indexes);
  [[nodiscard]] std::vector<IndexBuild> now() const;
  // `operations`: as $currentOp gives them. Of a build that they do not name, nothing is known.
  void take(const std::vector<bson::Document>& operations);
  [[nodiscard]] Signal& begun() { return begun_; }

 private:
  Signal begun_;
  mutable Mutex m_;
  std::list<IndexBuild> builds_ GUARDED_BY(m_);
};

}  // namespace mongotwin::apply
