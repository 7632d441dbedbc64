// SPDX-License-Identifier: Apache-2.0
#include "status/verification.h"

#include <fmt/chrono.h>
#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "base/error.h"
#include "base/log.h"
#include "status/json_fields.h"

namespace mongotwin::status {
namespace {

constexpr std::array kVerdicts{Verdict::running, Verdict::identical, Verdict::different, Verdict::cancelled, Verdict::failed};

Json write(const Difference& d) {
  return {{"ns", d.ns},           {"id", d.id}, {"kind", d.kind}, {"what", redact(d.what)}, {"way_out", d.way_out}, {"first_seen_ms", d.first_seen_ms},
          {"last_seen_ms", d.last_seen_ms}, {"repaired", d.repaired}};
}

Difference read_difference(const Json& j) {
  Difference d;
  read(j, "ns", d.ns);
  read(j, "id", d.id);
  read(j, "kind", d.kind);
  read(j, "what", d.what);
  read(j, "way_out", d.way_out);
  read(j, "first_seen_ms", d.first_seen_ms);
  read(j, "last_seen_ms", d.last_seen_ms);
  read(j, "repaired", d.repaired);
  return d;
}

}  // namespace

std::string time_text(bson::Timestamp ts) { return fmt::format("{:%Y-%m-%d %H:%M:%S} UTC", fmt::gmtime(static_cast<std::time_t>(ts.t))); }

const char* to_string(Verdict verdict) {
  switch (verdict) {
    case Verdict::running: return "running";
    case Verdict::identical: return "identical";
    case Verdict::different: return "different";
    case Verdict::cancelled: return "cancelled";
    case Verdict::failed: return "failed";
  }
  return "unknown";
}

double fraction_done(const Verification& v) {
  if (v.verdict == Verdict::identical || v.verdict == Verdict::different) return 1;
  auto total = std::max(v.documents_total, v.documents_done);
  return total == 0 ? 0 : std::min(0.999, static_cast<double>(v.documents_done) / static_cast<double>(total));
}

std::string verdict_text(const Verification& v) {
  auto alone = v.replicating ? "" : "; replication was not running: both were compared as they were";
  switch (v.verdict) {
    case Verdict::running: return fmt::format("running, {} differences so far", v.differences);
    case Verdict::identical: return fmt::format("identical up to {}: {} documents in {} collections{}", time_text(v.up_to), v.documents_done, v.collections_done, alone);
    case Verdict::different:
      return fmt::format("{} difference{}{} as of {}, in {} documents of {} collections{}", v.differences, v.differences == 1 ? "" : "s", v.repaired > 0 ? fmt::format(" ({} repaired)", v.repaired) : "",
                         time_text(v.up_to), v.documents_done, v.collections_done, alone);
    case Verdict::cancelled: return fmt::format("cancelled, {} differences found before", v.differences);
    case Verdict::failed: return "it could not be done: " + v.failure;
  }
  return {};
}

std::string to_json(const Verification& v, Lists lists) {
  Json out = {{"number", v.number},
              {"verdict", to_string(v.verdict)},
              {"text", redact(verdict_text(v))},
              {"mode", v.request.bytes ? "bytes" : "digest"},
              {"repair", v.request.repair},
              {"namespaces", v.request.namespaces},
              {"replicating", v.replicating},
              {"started_ms", v.started_ms},
              {"ended_ms", v.ended_ms},
              {"collections_total", v.collections_total},
              {"collections_done", v.collections_done},
              {"documents_total", v.documents_total},
              {"documents_done", v.documents_done},
              {"bytes_done", v.bytes_done},
              {"ranges_done", v.ranges_done},
              {"percent", 100 * fraction_done(v)},
              {"eta_s", v.eta_s ? Json(*v.eta_s) : Json(nullptr)},
              {"now", v.now},
              {"waits_for", redact(v.waits_for)},
              {"differences", v.differences},
              {"repaired", v.repaired},
              {"suspects", v.suspects},
              {"since", write_timestamp(v.since)},
              {"up_to", write_timestamp(v.up_to)},
              {"failure", redact(v.failure)}};
  if (lists == Lists::with) {
    auto list = Json::array();
    for (const auto& d : v.listed) list.push_back(write(d));
    out["list"] = std::move(list);
    out["notes"] = v.notes;
  }
  return out.dump(2, ' ', false, Json::error_handler_t::replace);
}

Verification verification_from_json(const std::string& text) {
  try {
    auto j = Json::parse(text);
    Verification v;
    auto verdict = j.at("verdict").get<std::string>();
    auto known = std::find_if(kVerdicts.begin(), kVerdicts.end(), [&](auto one) { return verdict == to_string(one); });
    if (known == kVerdicts.end()) throw Error(Remedy::fix_config, "the verification ended in a way that this version does not know: " + verdict, "use the same version on both ends");
    v.verdict = *known;
    v.request.bytes = j.at("mode") == "bytes";
    read(j, "number", v.number);
    read(j, "repair", v.request.repair);
    read(j, "namespaces", v.request.namespaces);
    read(j, "replicating", v.replicating);
    read(j, "started_ms", v.started_ms);
    read(j, "ended_ms", v.ended_ms);
    read(j, "collections_total", v.collections_total);
    read(j, "collections_done", v.collections_done);
    read(j, "documents_total", v.documents_total);
    read(j, "documents_done", v.documents_done);
    read(j, "bytes_done", v.bytes_done);
    read(j, "ranges_done", v.ranges_done);
    if (auto at = j.find("eta_s"); at != j.end() && !at->is_null()) v.eta_s = at->get<std::uint64_t>();
    read(j, "now", v.now);
    read(j, "waits_for", v.waits_for);
    read(j, "differences", v.differences);
    read(j, "repaired", v.repaired);
    read(j, "suspects", v.suspects);
    v.since = read_timestamp(j, "since");
    v.up_to = read_timestamp(j, "up_to");
    read(j, "failure", v.failure);
    if (auto at = j.find("list"); at != j.end())
      for (const auto& one : *at) v.listed.push_back(read_difference(one));
    read(j, "notes", v.notes);
    return v;
  } catch (const nlohmann::json::exception&) {
    throw Error(Remedy::fix_config, "the answer is no result of a verification", "check that the address is that of mongotwin's API");
  }
}

}  // namespace mongotwin::status
