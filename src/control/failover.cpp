// SPDX-License-Identifier: Apache-2.0
#include "control/failover.h"

#include <fmt/format.h>

#include <algorithm>

#include "control/insist.h"
#include "control/other_way.h"
#include "status/verification.h"

namespace mongotwin::control {

using checkpoint::Phase;
using oplog::Timestamp;

namespace {

constexpr std::chrono::milliseconds kLook{5};
constexpr std::uint32_t kSilentSeconds = 15;  // an idle shard's clock is moved every few hundred milliseconds

template <class F>
void insisting(std::stop_token stop, F&& f) {
  insist("failover", stop, std::forward<F>(f));
}

}  // namespace

void Failover::demand_even(const mongo::Cluster& source, const std::vector<Timestamp>& read, bool force) {
  auto names = source.shard_names();
  auto first = static_cast<std::size_t>(std::min_element(read.begin(), read.end()) - read.begin());
  auto last = *std::max_element(read.begin(), read.end());
  if (last.t - read.at(first).t < kSilentSeconds) return;
  auto what = fmt::format("nothing was heard of the source's shard {} since {}, and of another one until {}: what the others wrote in these {} s can't be applied without it", names.at(first), status::time_text(read[first]), status::time_text(last), last.t - read[first].t);
  if (!force) throw Error(Remedy::pause, what, "mongotwin failover --force gives that up");
  log::warn("control", "failover: {}", what);
}

void Failover::demand_complete(const std::vector<Timestamp>& read, Timestamp complete, bool force) {
  auto last = *std::max_element(read.begin(), read.end());
  if (last.t < complete.t + kSilentSeconds) return;
  auto what = fmt::format("what the source wrote between {} and {} was read and can't be applied here: its router, or the config servers behind it, did not say whether it got other shards meanwhile", status::time_text(complete), status::time_text(last));
  if (!force) throw Error(Remedy::pause, what, "stop mongotwin and run mongotwin failover --config … there: by itself it applies all that was read; or mongotwin failover --force gives that up");
  log::warn("control", "failover: {}", what);
}

void Failover::step(const char* name) {
  log::info("control", "failover: {}", name);
  p_.on_step(name);
}

Failover::Report Failover::report(Timestamp up_to, const std::vector<Timestamp>& applied, const std::vector<Timestamp>& read) const {
  Report out;
  out.up_to = up_to;
  out.lines.push_back(fmt::format("everything that the source had written up to {} ({}) is on the target; what it wrote later is lost, unless the line of its shard says otherwise", status::time_text(up_to), oplog::to_string(up_to)));
  auto names = p_.pair.source->shard_names();
  for (std::size_t s = 0; s < names.size(); ++s) {
    auto line = fmt::format("shard {}: applied up to {} ({})", names[s], status::time_text(applied.at(s)), oplog::to_string(applied.at(s)));
    if (read.at(s) > up_to) line += fmt::format("; it was read up to {} ({}), but not all shards were, or whether there were others is not known: that is left out, so that the target is a state that the source has had", status::time_text(read[s]), oplog::to_string(read[s]));
    out.lines.push_back(std::move(line));
  }
  return out;
}

void Failover::open_target(mongo::Cluster& target, const options::Options& options, std::stop_token stop) {
  WriteBlock block(target, options.target_hooks, options.link);
  insisting(stop, [&] {
    // What can't be closed is open.
    if (!block.obstacle()) block.open(stop);
  });
}

void Failover::close_target(std::stop_token stop) {
  step("closing the target");
  WriteBlock block(*p_.pair.target, p_.options.target_hooks, p_.options.link);
  insisting(stop, [&] {
    // Applications that try the other cluster must not write between what is applied now, nor before it can be followed.
    if (!block.obstacle()) block.close(stop);
  });
}

Failover::Report Failover::take_as_it_is(const std::vector<Timestamp>& applied, const std::string& note, bson::View handover, std::stop_token stop) {
  close_target(stop);
  auto up_to = *std::min_element(applied.begin(), applied.end());
  auto report = this->report(up_to, applied, std::vector<Timestamp>(applied.size(), up_to));  // nothing that was read is left out
  if (!note.empty()) report.lines.push_back(note);
  return conclude(std::move(report), handover, stop);
}

Failover::Report Failover::run(Pipeline& pipeline, bson::View handover, std::stop_token stop) {
  close_target(stop);
  step("applying what was read");
  pipeline.end_reading();
  while (!pipeline.stopped()) {
    p_.check();
    if (!sleep_for(stop, kLook)) throw Error(Remedy::pause, "mongotwin was stopped in the middle of the failover", "ask for it again");
  }
  insisting(stop, [&] { pipeline.save_checkpoint(); });
  return conclude(report(pipeline.complete_up_to(), pipeline.observe().applied, pipeline.read()), handover, stop);
}

Failover::Report Failover::conclude(Report report, bson::View handover, std::stop_token stop) {
  step("restoring");
  auto held = handover["held"] ? bson::Document::copy_of(handover.fields("held")) : p_.holds.to_document();
  // First, since what is given back is not held any more: who goes on after a crash must know that it was.
  insisting(stop, [&] {
    auto fields = bson::Builder();
    fields.string("phase", to_string(Phase::failing_over)).open_document("handover").string("kind", "failover").document("held", held).close();
    p_.store.save(fields.finish());
  });
  std::vector<Timestamp> ends;
  insisting(stop, [&] { ends = committed_ends(*p_.pair.target); });
  p_.holds.load(held);
  insisting(stop, [&] { p_.ddl.restore_held(); });
  step("deciding");
  bson::Document next;
  insisting(stop, [&] { next = other_way(p_.pair, ends, held, stop).to_fields(); });
  insisting(stop, [&] {
    auto fields = bson::Builder();
    fields.string("phase", to_string(Phase::failed_over)).document("held", p_.holds.to_document()).document("other_way", next);
    fields.open_document("handover").string("kind", "failover").timestamp("up_to", report.up_to).open_array("lines");
    for (std::size_t n = 0; n < report.lines.size(); ++n) fields.string(std::to_string(n), report.lines[n]);
    fields.close().close();
    p_.store.save(fields.finish());
  });
  step("opening");
  open_target(*p_.pair.target, p_.options, stop);
  for (const auto& line : report.lines) log::warn("control", "failover: {}", line);
  return report;
}

}  // namespace mongotwin::control
