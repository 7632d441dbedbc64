// SPDX-License-Identifier: Apache-2.0
// sim: the seeded simulation. One seed is one scenario: a source that lives, a target that fails now and then, and a
// process of mongotwin that is killed and started again.
//   sim --seeds 1-2000        runs many; the first failing seed is printed with what led to it, status 1
//   sim --seed 17 [--trace]   runs one exactly as before
#include <CLI/CLI.hpp>
#include <fmt/format.h>

#include <chrono>
#include <csignal>
#include <unistd.h>

#include "base/log.h"
#include "twin.h"

namespace mongotwin::sim {
namespace {

struct Failure {
  std::string what;
};

struct Totals {
  std::uint64_t entries = 0, cuts = 0, moments = 0, crashes = 0, steps = 0;
};

constexpr int kSettleSteps = 60'000;

class Run {
 public:
  Run(std::uint64_t seed, Trace trace, Totals& totals) : random_(seed), trace_(std::move(trace)), totals_(totals) {}

  void go() {
    set_up();
    for (; operations_ > 0; ++totals_.steps) one_step();
    settle();
    totals_.entries += [&] {
      std::uint64_t n = 0;
      for (const auto& shard : source_->shards()) n += shard.oplog.size();
      return n;
    }();
  }

 private:
  void set_up() {
    int shards = random_.one_in(4) ? 1 : 1 + random_.below(4);
    settings_.lanes = 1 + random_.below(4);
    settings_.planner.epoch_ops_max = static_cast<std::size_t>(1 + random_.below(25));
    settings_.planner.epochs_in_flight_max = static_cast<std::size_t>(1 + random_.below(4));
    settings_.planner.entries_per_step = static_cast<std::size_t>(1 + random_.below(20));
    settings_.journal_bytes = static_cast<std::size_t>(500 + random_.below(20'000));
    settings_.lane_batches = static_cast<std::size_t>(1 + random_.below(3));
    Faults faults;
    if (!random_.one_in(4)) faults = {random_.below(6), random_.below(6), random_.below(6), random_.below(6), 0};
    if (!random_.one_in(3)) faults.crash_per_mille = random_.below(12);
    crashes_ = faults.crash_per_mille > 0;
    operations_ = 100 + random_.below(400);
    source_.emplace(random_, shards, trace_);
    target_.emplace(random_, trace_, faults);
    int flavour = random_.below(4);
    if (flavour == 1) target_->key_of_sharded = {"u"};
    if (flavour == 2) target_->key_of_sharded = {"k"};
    if (flavour == 3) target_->key_of_sharded = {"a.b", "u"};
    store_.emplace(*target_);
    if (trace_) trace_(fmt::format("{} shards, {} lanes, {} operations, target sharded by [{}]", shards, settings_.lanes, operations_, fmt::join(target_->key_of_sharded, " ")));
    for (int n = random_.below(80); n > 0; --n) source_->act();
    start();
  }

  void start() {
    twin_.reset();
    held_ = false;
    checked_.clear();
    checked_moment_ = {};
    twin_ = std::make_unique<Twin>(random_, *source_, *target_, *store_, clock_, settings_, trace_);
  }

  void one_step() {
    int what = random_.below(100);
    if (what < 12) {
      source_->act();
      --operations_;
    } else if (what < 25) {
      auto& shard = random_.pick(source_->shards());
      shard.majority = std::min(shard.oplog.size(), shard.majority + static_cast<std::size_t>(1 + random_.below(5)));
    } else if (what < 28) {
      clock_.pass();
    } else if (what == 28) {
      held_ = !held_;
      twin_->hold(held_);
    } else if (what == 30) {
      twin_->share_among(random_.below(settings_.lanes + 1));
    } else if (crashes_ && what == 29 && random_.one_in(12)) {
      crash();
    } else {
      step();
    }
  }

  void step() {
    try {
      twin_->step();
    } catch (const Crash&) {
      return crash();
    } catch (const Error& e) {
      throw Failure{fmt::format("mongotwin stopped: {} ({})", e.what(), to_string(e.remedy()))};
    }
    if (auto broken = twin_->broken_law(); !broken.empty()) throw Failure{broken};
    check();
  }

  void crash() {
    if (trace_) trace_("crash");
    ++totals_.crashes;
    start();
  }

  void check() {
    auto at = twin_->drained_at();
    if (!at) return;
    check_moment(at->size());
    if (*at == checked_) return;
    checked_ = *at;
    ++totals_.cuts;
    auto what = difference(target_->state(), source_->reference().at(*at));
    if (what.empty()) return;
    std::string positions;
    for (auto ts : *at) positions += oplog::to_string(ts) + " ";
    throw Failure{fmt::format("the target is not what the source was at the cut {}: {}", positions, what)};
  }

  void check_moment(std::size_t shards) {
    auto moment = twin_->moment();
    if (!moment || *moment == checked_moment_) return;
    checked_moment_ = *moment;
    ++totals_.moments;
    auto what = difference(target_->state(), source_->reference().at(std::vector<Timestamp>(shards, *moment)));
    if (!what.empty()) throw Failure{fmt::format("held, the target is not what the source was at the moment {}: {}; {}", oplog::to_string(*moment), what, twin_->where())};
  }

  // No more news and no more trouble: everything must get across within the budget.
  void settle() {
    while (!source_->settle()) continue;
    source_->all_to_majority();
    auto last = source_->newest();
    target_->stop_faults();
    if (trace_) trace_("the source is silent");
    twin_->hold(false);
    twin_->share_among(settings_.lanes);
    bool told = false;
    for (int n = 0; !twin_->stopped(); ++n, ++totals_.steps) {
      if (n > kSettleSteps) throw Failure{"no progress: " + twin_->where()};
      if (!told && twin_->following()) twin_->stop_after(last), told = true;
      source_->all_to_majority();
      clock_.pass();
      step();
    }
    auto expected = source_->reference().at(last);
    auto mine = source_->state();
    if (auto what = difference(mine, expected); !what.empty()) throw Failure{"the simulation contradicts itself: " + what};
    if (auto what = difference(target_->state(), expected); !what.empty()) throw Failure{"in the end: " + what};
  }

  Random random_;
  Trace trace_;
  Totals& totals_;
  Settings settings_;
  SimClock clock_;
  std::optional<Source> source_;
  std::optional<Target> target_;
  std::optional<Store> store_;
  std::unique_ptr<Twin> twin_;
  int operations_ = 0;
  bool crashes_ = false, held_ = false;
  std::vector<Timestamp> checked_;
  Timestamp checked_moment_;
};

std::uint64_t running_seed = 0;

// A broken invariant aborts: say in which seed.
void on_abort(int) {
  auto text = fmt::format("seed {} aborted\n", running_seed);
  (void)!write(2, text.data(), text.size());
}

// What failed, empty if nothing did.
std::string run(std::uint64_t seed, const Trace& trace, Totals& totals) {
  running_seed = seed;
  try {
    Run(seed, trace, totals).go();
  } catch (const Failure& f) {
    return f.what;
  } catch (const std::exception& e) {
    return std::string("an exception: ") + e.what();
  }
  return {};
}

// The end of a failing run, and before that what has to do with the document or collection that is named.
void print_failure(std::uint64_t seed, const std::string& what) {
  std::vector<std::string> lines;
  Totals totals;
  (void)run(seed, [&](const std::string& line) { lines.push_back(line); }, totals);
  constexpr std::size_t kTail = 25;
  auto from = lines.size() > kTail ? lines.size() - kTail : 0;
  auto ns = what.find("d0.") != std::string::npos ? what.substr(what.find("d0."), 5) : what.find("d1.") != std::string::npos ? what.substr(what.find("d1."), 5) : std::string("\n");
  for (std::size_t n = 0; n < lines.size(); ++n)
    if (n >= from || lines[n].starts_with("crash") || lines[n].starts_with("twin")) fmt::print("  {}\n", lines[n]);
  fmt::print("seed {} FAILED: {}\n  again: sim --seed {} --trace{}\n", seed, what, seed, ns == "\n" ? "" : " | grep -e '" + ns + "' -e ^crash -e ^twin");
}

}  // namespace
}  // namespace mongotwin::sim

int main(int argc, char** argv) {
  using namespace mongotwin;
  CLI::App app("The seeded simulation of mongotwin's core", "sim");
  std::string seeds;
  std::uint64_t seed = 0;
  bool trace = false, keep_going = false;
  app.add_option("--seeds", seeds, "first-last");
  app.add_option("--seed", seed, "one seed");
  app.add_flag("--trace", trace, "print everything that happens");
  app.add_flag("--keep-going", keep_going, "only name the failing seeds, and go on");
  CLI11_PARSE(app, argc, argv);
  log::init(log::Level::error);
  std::signal(SIGABRT, sim::on_abort);
  sim::Totals totals;
  if (seed > 0) {
    auto what = sim::run(seed, trace ? sim::Trace([](const std::string& line) { fmt::print("{}\n", line); }) : sim::Trace(), totals);
    if (!what.empty()) fmt::print("seed {} FAILED: {}\n", seed, what);
    else fmt::print("seed {} passed: {} cuts compared, {} crashes\n", seed, totals.cuts, totals.crashes);
    return what.empty() ? 0 : 1;
  }
  auto dash = seeds.find('-');
  std::uint64_t first = seeds.empty() ? 1 : std::stoull(seeds), last = dash == std::string::npos ? (seeds.empty() ? 2000 : first) : std::stoull(seeds.substr(dash + 1));
  auto start = std::chrono::steady_clock::now();
  int failed = 0;
  for (auto s = first; s <= last; ++s) {
    auto what = sim::run(s, {}, totals);
    if (what.empty()) continue;
    ++failed;
    if (keep_going) fmt::print("seed {} FAILED: {}\n", s, what);
    else sim::print_failure(s, what);
    if (!keep_going) return 1;
  }
  auto seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  fmt::print("{} seeds, {} failed: {} oplog entries, {} steps, {} cuts and {} held moments compared, {} crashes, {:.1f} s\n", last - first + 1, failed, totals.entries, totals.steps, totals.cuts, totals.moments, totals.crashes, seconds);
  return failed == 0 ? 0 : 1;
}
