// SPDX-License-Identifier: Apache-2.0
#include "apply/index_builds.h"

#include <algorithm>
#include <array>

#include "apply/ddl_applier.h"

namespace mongotwin::apply {
namespace {

// In the order a build passes through them; the server says the first in its message.
struct Phase {
  const char *message, *words;
};
constexpr std::array<Phase, 3> kPhases{{{"scanning collection", "scanning the collection"}, {"inserting keys", "inserting keys"}, {"draining writes", "draining writes"}}};

std::optional<std::size_t> phase_of(bson::View operation) {
  auto message = operation.string("msg").value_or("");
  for (std::size_t n = 0; n < kPhases.size(); ++n)
    if (message.find(kPhases[n].message) != std::string_view::npos) return n;
  return {};
}

// Others may build on the same collection; an operation that does not say its indexes is taken for ours.
bool is_of(bson::View operation, const IndexBuild& build) {
  if (user_namespace(std::string(operation.string("ns").value_or(""))) != user_namespace(build.ns)) return false;
  auto indexes = operation.fields("command").fields("indexes");
  for (const auto& e : indexes)
    if (std::find(build.indexes.begin(), build.indexes.end(), e.fields().string("name").value_or("")) != build.indexes.end()) return true;
  return indexes.empty();
}

void look_for(IndexBuild& build, const std::vector<bson::Document>& operations) {
  build.phase.clear();
  build.done.reset();
  build.total.reset();
  std::optional<std::size_t> first;
  for (const auto& operation : operations) {
    auto phase = phase_of(operation);
    auto progress = operation.view().fields("progress");
    auto done = progress.integer("done"), total = progress.integer("total");
    if (!phase || !done || !total || *done < 0 || *total < 0 || (first && *phase > *first) || !is_of(operation, build)) continue;
    if (!first || *phase < *first) build.done = build.total = 0;
    first = phase;
    *build.done += static_cast<std::uint64_t>(*done);
    *build.total += static_cast<std::uint64_t>(*total);
  }
  if (first) build.phase = kPhases[*first].words;
}

}  // namespace

IndexBuilds::UnderWay::~UnderWay() {
  Lock lock(builds_.m_);
  builds_.builds_.erase(build_);
}

IndexBuilds::UnderWay IndexBuilds::begin(std::string ns, std::vector<std::string> indexes) {
  std::list<IndexBuild>::iterator build;
  {
    Lock lock(m_);
    build = builds_.insert(builds_.end(), {std::move(ns), std::move(indexes), {}, {}, {}});
  }
  begun_.notify();
  return {*this, build};
}

std::vector<IndexBuild> IndexBuilds::now() const {
  Lock lock(m_);
  return {builds_.begin(), builds_.end()};
}

void IndexBuilds::take(const std::vector<bson::Document>& operations) {
  Lock lock(m_);
  for (auto& build : builds_) look_for(build, operations);
}

}  // namespace mongotwin::apply
