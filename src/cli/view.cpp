// SPDX-License-Identifier: Apache-2.0
#include "cli/view.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>

#include "base/log.h"
#include "cli/format.h"

namespace mongotwin::cli {
namespace {

using status::State;
using status::Status;

constexpr std::size_t kLabelColumns = 12;
constexpr std::size_t kBarCharacters = 24;
constexpr std::size_t kCollectionsMax = 4, kBuildsMax = 4, kShardsMax = 6, kWarningsMax = 3;  // of the live view

using Lines = std::vector<std::string>;

std::string labelled(std::string_view label, const std::string& text) { return pad(label, kLabelColumns) + text; }

std::string headline(const Status& s) {
  auto out = std::string(status::to_string(s.state));
  std::replace(out.begin(), out.end(), '_', ' ');
  if (s.handover && !s.handover->step.empty()) return out + " - " + s.handover->kind + ": " + s.handover->step;
  return s.detail.empty() ? out : out + " - " + s.detail;
}

std::string cluster(const status::ClusterInfo& c) {
  if (c.uri.empty()) return "not reached yet";
  auto out = c.uri;
  if (!c.kind.empty()) out += "  " + c.kind;
  if (!c.version.empty()) out += " " + c.version;
  if (c.kind == "sharded") out += fmt::format(", {} shards", c.shards.size());
  return out;
}

bool copy_known(const status::CopyProgress& c) { return c.documents_total + c.ranges_total + c.collections.size() > 0; }

// Full only when it is done; totals are estimates and may be reached before.
std::string progress_bar(std::uint64_t done, std::uint64_t total, bool whole, std::size_t characters) {
  auto f = whole ? 1.0 : total == 0 ? 0.0 : std::min(0.999, fraction(done, total));
  return bar(f, characters) + " " + percent(f);
}

std::string copy_bar(const status::CopyProgress& c) {
  bool whole = std::all_of(c.collections.begin(), c.collections.end(), [](const auto& one) { return one.done; }) && c.ranges_done >= c.ranges_total && c.collections.size() + c.ranges_total > 0;
  return fmt::format("{}  {} of {} documents  {} of {}", progress_bar(c.documents_done, c.documents_total, whole, kBarCharacters), count(c.documents_done), count(c.documents_total),
                     size(c.bytes_done), size(c.bytes_total));
}

std::string copy_speed(const status::CopyProgress& c) {
  auto left = c.eta_s ? "  " + duration(*c.eta_s) + " left" : "";
  return fmt::format("{} documents/s  {}/s  ranges {} of {}{}", rate(c.documents_per_second), size(static_cast<std::uint64_t>(c.bytes_per_second)), count(c.ranges_done), count(c.ranges_total), left);
}

std::string collection_line(const status::CollectionProgress& c) {
  return fmt::format("  {} {}  {} of {}  {} of {}", pad(c.ns, kLabelColumns + 14), progress_bar(c.documents_done, c.documents_total, c.done, kBarCharacters / 2), count(c.documents_done),
                     count(c.documents_total), size(c.bytes_done), size(c.bytes_total));
}

// Those under way first, then those that wait; finished ones are not shown.
void add_collections(Lines& out, const status::CopyProgress& c, std::size_t most) {
  std::vector<const status::CollectionProgress*> open;
  for (const auto& one : c.collections)
    if (!one.done) open.push_back(&one);
  std::stable_partition(open.begin(), open.end(), [](const auto* one) { return one->documents_done > 0; });
  for (std::size_t i = 0; i < std::min(open.size(), most); ++i) out.push_back(collection_line(*open[i]));
  if (open.size() > most) out.push_back(fmt::format("  and {} more collections to go", count(open.size() - most)));
}

void add_copy(Lines& out, const status::CopyProgress& c, std::size_t collections_most) {
  out.push_back(labelled("copy", copy_bar(c)));
  out.push_back(labelled("", copy_speed(c)));
  if (c.indexes_total > 0)
    out.push_back(labelled("indexes", fmt::format("{}  {} of {}", progress_bar(c.indexes_done, c.indexes_total, c.indexes_done >= c.indexes_total, kBarCharacters), count(c.indexes_done), count(c.indexes_total))));
  add_collections(out, c, collections_most);
}

// Nothing where the target does not say it.
std::string build_state(const status::IndexBuild& b) { return b.done && b.total ? fmt::format(": {}, {} of {}", b.phase, count(*b.done), count(*b.total)) : ""; }

std::string build_line(const status::IndexBuild& b) {
  auto progress = b.done && b.total ? progress_bar(*b.done, *b.total, false, kBarCharacters / 2) + "  " : "";
  return fmt::format("  {} {}building {}{}", pad(b.ns, kLabelColumns + 14), progress, fmt::join(b.indexes, ", "), build_state(b));
}

void add_builds(Lines& out, const std::vector<status::IndexBuild>& builds, std::size_t most) {
  for (std::size_t i = 0; i < std::min(builds.size(), most); ++i) out.push_back(build_line(builds[i]));
  if (builds.size() > most) out.push_back(fmt::format("  and indexes of {} more collections are built", count(builds.size() - most)));
}

std::string kinds(const status::OpsProgress& ops) {
  std::string out;
  for (const auto& [kind, n] : ops.by_kind)
    if (n > 0) out += (out.empty() ? "" : ", ") + kind + " " + count(n);
  return out;
}

std::string lag_text(const Status& s) { return s.lag_ms ? lag(*s.lag_ms) : "unknown"; }

void add_operations(Lines& out, const Status& s) {
  out.push_back(labelled("lag", lag_text(s)));
  out.push_back(labelled("operations", fmt::format("{}/s  {} applied  {} entries read", rate(s.ops.per_second), count(s.ops.applied), count(s.ops.read))));
  if (auto text = kinds(s.ops); !text.empty()) out.push_back(labelled("", text));
  if (s.journal.bytes_max > 0)
    out.push_back(labelled("journal", fmt::format("{} of {}{}{}", size(s.journal.bytes), size(s.journal.bytes_max), s.journal.age_s ? ", oldest entry " + duration(static_cast<std::uint64_t>(*s.journal.age_s)) + " ago" : "", s.journal.full ? ", FULL" : "")));
}

std::string age(bson::Timestamp ts, WallTime now) {
  if (ts.is_null()) return "-";
  auto now_s = std::chrono::duration_cast<std::chrono::seconds>(now.time_since_epoch()).count();
  return duration(static_cast<std::uint64_t>(std::max<std::int64_t>(0, now_s - static_cast<std::int64_t>(ts.t)))) + " ago";
}

void add_positions(Lines& out, const Status& s, WallTime now, std::size_t most) {
  if (s.positions.empty()) return;
  static constexpr std::size_t kShard = 16, kAge = 17;
  out.push_back(labelled("positions", pad("shard", kShard) + pad("read", kAge) + pad("planned", kAge) + pad("applied", kAge) + "checkpointed"));
  std::size_t shown = 0;
  for (const auto& [shard, p] : s.positions) {
    if (shown++ == most) {
      out.push_back(labelled("", fmt::format("and {} more shards", s.positions.size() - most)));
      return;
    }
    out.push_back(labelled("", pad(shard, kShard) + pad(age(p.read, now), kAge) + pad(age(p.planned, now), kAge) + pad(age(p.applied, now), kAge) + age(p.checkpointed, now)));
  }
}

void add_handover(Lines& out, const Status& s) {
  if (s.roles_swapped) out.push_back(labelled("roles", "swapped: the configuration's target is the source"));
  if (!s.handover || !s.handover->succeeded) return;
  if (*s.handover->succeeded) out.push_back(labelled(s.handover->kind, fmt::format("done, writes were closed for {:.2f} s", static_cast<double>(s.handover->closed_ms.value_or(0)) / 1000)));
  else out.push_back(labelled(s.handover->kind, s.handover->error));
  for (const auto& note : s.handover->notes) out.push_back(labelled("", note));
}

void add_trouble(Lines& out, const Status& s, std::size_t warnings_most) {
  for (std::size_t i = 0; i < std::min(s.warnings.size(), warnings_most); ++i) out.push_back(labelled("warning", s.warnings[i]));
  if (s.warnings.size() > warnings_most) out.push_back(labelled("", fmt::format("and {} more warnings", s.warnings.size() - warnings_most)));
  if (!s.error) return;
  out.push_back(labelled("ERROR", s.error->what));
  if (!s.error->hint.empty()) out.push_back(labelled("what to do", s.error->hint));
}

std::string what_the_remedy_means(const std::string& remedy) {
  if (remedy == "retry") return "it tries again by itself";
  if (remedy == "pause") return "it waits for you; the work goes on where it stands";
  if (remedy == "resync") return "the copy must start again";
  return remedy == "fix_config" ? "correct the configuration and start again" : "";
}

// The first line; behind it what it waits for.
std::string verification_text(const status::Verification& v) {
  if (v.verdict != status::Verdict::running) return "last: " + status::verdict_text(v);
  auto f = status::fraction_done(v);
  auto out = fmt::format("{} {}  {} of {} documents  {} differences", bar(f, kBarCharacters), percent(f), count(v.documents_done), count(std::max(v.documents_total, v.documents_done)), count(v.differences));
  if (v.suspects > 0) out += fmt::format(" and {} looked at again", count(v.suspects));
  if (v.eta_s) out += "  " + duration(*v.eta_s) + " left";
  return v.waits_for.empty() ? out : out + "  waits: " + v.waits_for;
}

std::string throttle_text(const status::Throttles& t) {
  auto copy = t.copy_bytes ? size(*t.copy_bytes) + "/s" : "off", operations = t.operations ? count(*t.operations) + "/s" : "off";
  return fmt::format("copy {}  operations {}  copiers {}  lanes {}  verify {}", copy, operations, t.copiers, t.lanes, t.verify_bytes ? size(*t.verify_bytes) + "/s" : "off");
}

bool shows_copy(State state) { return state == State::starting || state == State::copying || state == State::catching_up; }

void clean(Lines& lines, std::size_t columns) {
  for (auto& line : lines) line = clip(redact(line), columns);
}

}  // namespace

Lines progress_lines(const Status& s, WallTime now, Screen screen) {
  Lines out;
  out.push_back(labelled(s.link, headline(s)));
  if (!s.source.uri.empty()) out.push_back(labelled("", s.source.uri + " -> " + s.target.uri));
  if (shows_copy(s.state) && copy_known(s.copy)) add_copy(out, s.copy, kCollectionsMax);
  add_builds(out, s.index_builds, kBuildsMax);
  if (s.state != State::starting) add_operations(out, s);
  if (s.state != State::starting && s.state != State::copying) add_positions(out, s, now, kShardsMax);
  if (s.verification) out.push_back(labelled("verify", verification_text(*s.verification)));
  // What went wrong must be seen on a small screen too.
  Lines trouble;
  add_trouble(trouble, s, kWarningsMax);
  auto rows = std::max<std::size_t>(screen.rows, 5) - 2;  // the cursor has a line of its own, and a note may come
  if (out.size() + trouble.size() > rows) out.resize(std::max<std::size_t>(1, rows - std::min(rows, trouble.size())));
  out.insert(out.end(), trouble.begin(), trouble.end());
  clean(out, std::max<std::size_t>(screen.columns, 20) - 1);
  return out;
}

std::string summary_line(const Status& s) {
  auto out = headline(s);
  const auto& c = s.copy;
  if (s.state == State::copying && copy_known(c)) {
    out += fmt::format("; {} of {} documents, {} of {}, ranges {} of {}, indexes {} of {}, {} documents/s", count(c.documents_done), count(c.documents_total), size(c.bytes_done),
                       size(c.bytes_total), count(c.ranges_done), count(c.ranges_total), count(c.indexes_done), count(c.indexes_total), rate(c.documents_per_second));
    if (c.eta_s) out += ", " + duration(*c.eta_s) + " left";
  }
  if (s.state != State::starting && s.state != State::copying)
    out += fmt::format("; lag {}, {} operations applied, {}/s", !s.lag_ms || *s.lag_ms >= 1000 ? lag_text(s) : "under 1 s", count(s.ops.applied), rate(s.ops.per_second));
  for (const auto& b : s.index_builds) out += fmt::format("; building {} index{} of {}{}", b.indexes.size(), b.indexes.size() == 1 ? "" : "es", b.ns, build_state(b));
  if (s.verification && s.verification->verdict == status::Verdict::running) out += fmt::format("; verifying,{}, {} differences", percent(status::fraction_done(*s.verification)), s.verification->differences);
  if (!s.warnings.empty()) out += fmt::format("; warning: {}{}", s.warnings.back(), s.warnings.size() > 1 ? fmt::format(" (and {} more)", s.warnings.size() - 1) : "");
  if (s.error) out += "; error: " + s.error->what;
  return clip(redact(out), std::string::npos);
}

Lines status_lines(const Status& s, WallTime now) {
  Lines out;
  out.push_back(labelled("link", s.link));
  out.push_back(labelled("state", headline(s)));
  if (s.error) {
    out.push_back(labelled("ERROR", s.error->what));
    auto what_to_do = s.error->hint;
    if (auto meaning = what_the_remedy_means(s.error->remedy); !meaning.empty()) what_to_do += (what_to_do.empty() ? "" : "; ") + meaning;
    if (!what_to_do.empty()) out.push_back(labelled("what to do", what_to_do));
  }
  out.push_back(labelled("source", cluster(s.source)));
  out.push_back(labelled("target", cluster(s.target)));
  add_handover(out, s);
  out.push_back(labelled("lag", lag_text(s)));
  if (copy_known(s.copy)) add_copy(out, s.copy, s.copy.collections.size());
  add_builds(out, s.index_builds, s.index_builds.size());
  out.push_back(labelled("operations", fmt::format("{}/s  {} applied  {} entries read", rate(s.ops.per_second), count(s.ops.applied), count(s.ops.read))));
  if (auto text = kinds(s.ops); !text.empty()) out.push_back(labelled("", text));
  if (s.verification) out.push_back(labelled("verify", verification_text(*s.verification)));
  out.push_back(labelled("throttle", throttle_text(s.throttle)));
  add_positions(out, s, now, s.positions.size());
  for (const auto& warning : s.warnings) out.push_back(labelled("warning", warning));
  clean(out, std::string::npos);
  return out;
}

}  // namespace mongotwin::cli
