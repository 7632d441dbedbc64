// SPDX-License-Identifier: Apache-2.0
#include "status/json.h"

#include "base/error.h"
#include "base/log.h"
#include "status/json_fields.h"

namespace mongotwin::status {
namespace {

std::vector<std::string> redacted(std::vector<std::string> texts) {
  for (auto& text : texts) text = redact(text);
  return texts;
}

Json write(const ClusterInfo& c) {
  return {{"uri", redact(c.uri)}, {"kind", c.kind}, {"version", c.version}, {"shards", c.shards}};
}

ClusterInfo read_cluster(const Json& j) {
  ClusterInfo c;
  read(j, "uri", c.uri);
  read(j, "kind", c.kind);
  read(j, "version", c.version);
  read(j, "shards", c.shards);
  return c;
}

Json write(const CollectionProgress& c) {
  return {{"ns", c.ns},
          {"documents_total", c.documents_total},
          {"documents_done", c.documents_done},
          {"bytes_total", c.bytes_total},
          {"bytes_done", c.bytes_done},
          {"done", c.done}};
}

CollectionProgress read_collection(const Json& j) {
  CollectionProgress c;
  read(j, "ns", c.ns);
  read(j, "documents_total", c.documents_total);
  read(j, "documents_done", c.documents_done);
  read(j, "bytes_total", c.bytes_total);
  read(j, "bytes_done", c.bytes_done);
  read(j, "done", c.done);
  return c;
}

Json write(const CopyProgress& c) {
  auto collections = Json::array();
  for (const auto& one : c.collections) collections.push_back(write(one));
  return {{"documents_total", c.documents_total},
          {"documents_done", c.documents_done},
          {"bytes_total", c.bytes_total},
          {"bytes_done", c.bytes_done},
          {"ranges_total", c.ranges_total},
          {"ranges_done", c.ranges_done},
          {"indexes_total", c.indexes_total},
          {"indexes_done", c.indexes_done},
          {"documents_per_second", c.documents_per_second},
          {"bytes_per_second", c.bytes_per_second},
          {"eta_s", or_null(c.eta_s)},
          {"collections", collections}};
}

CopyProgress read_copy(const Json& j) {
  CopyProgress c;
  read(j, "documents_total", c.documents_total);
  read(j, "documents_done", c.documents_done);
  read(j, "bytes_total", c.bytes_total);
  read(j, "bytes_done", c.bytes_done);
  read(j, "ranges_total", c.ranges_total);
  read(j, "ranges_done", c.ranges_done);
  read(j, "indexes_total", c.indexes_total);
  read(j, "indexes_done", c.indexes_done);
  read(j, "documents_per_second", c.documents_per_second);
  read(j, "bytes_per_second", c.bytes_per_second);
  read(j, "eta_s", c.eta_s);
  if (auto at = j.find("collections"); at != j.end())
    for (const auto& one : *at) c.collections.push_back(read_collection(one));
  return c;
}

Json write(const std::vector<IndexBuild>& builds) {
  auto out = Json::array();
  for (const auto& b : builds) out.push_back({{"ns", b.ns}, {"indexes", b.indexes}, {"phase", b.phase}, {"done", or_null(b.done)}, {"total", or_null(b.total)}});
  return out;
}

IndexBuild read_index_build(const Json& j) {
  IndexBuild b;
  read(j, "ns", b.ns);
  read(j, "indexes", b.indexes);
  read(j, "phase", b.phase);
  read(j, "done", b.done);
  read(j, "total", b.total);
  return b;
}

Json write(const OpsProgress& o) {
  auto kinds = Json::object();
  for (const auto& [kind, count] : o.by_kind) kinds[kind] = count;
  return {{"read", o.read}, {"applied", o.applied}, {"per_second", o.per_second}, {"by_kind", kinds}};
}

OpsProgress read_ops(const Json& j) {
  OpsProgress o;
  read(j, "read", o.read);
  read(j, "applied", o.applied);
  read(j, "per_second", o.per_second);
  read(j, "by_kind", o.by_kind);
  return o;
}

Json write_positions(const std::map<std::string, ShardPositions>& positions) {
  auto out = Json::object();
  for (const auto& [shard, p] : positions)
    out[shard] = {{"read", write_timestamp(p.read)},
                  {"planned", write_timestamp(p.planned)},
                  {"applied", write_timestamp(p.applied)},
                  {"checkpointed", write_timestamp(p.checkpointed)}};
  return out;
}

Json write_error(const std::optional<Failure>& f) {
  if (!f) return nullptr;
  return {{"what", redact(f->what)}, {"hint", redact(f->hint)}, {"remedy", f->remedy}};
}

Json write_handover(const std::optional<Handover>& h) {
  if (!h) return nullptr;
  return {{"kind", h->kind}, {"step", h->step}, {"succeeded", or_null(h->succeeded)}, {"closed_ms", or_null(h->closed_ms)}, {"up_to", h->up_to ? write_timestamp(*h->up_to) : Json(nullptr)}, {"error", redact(h->error)}, {"notes", redacted(h->notes)}, {"number", h->number}};
}

Handover read_handover(const Json& j) {
  Handover h;
  read(j, "kind", h.kind);
  read(j, "step", h.step);
  read(j, "succeeded", h.succeeded);
  read(j, "closed_ms", h.closed_ms);
  if (auto at = j.find("up_to"); at != j.end() && at->is_object()) h.up_to = read_timestamp(j, "up_to");
  read(j, "error", h.error);
  read(j, "notes", h.notes);
  read(j, "number", h.number);
  return h;
}

Status read_status(const Json& j) {
  Status s;
  auto state = state_from(j.at("state").get<std::string>());
  if (!state) throw Error(Remedy::fix_config, "the answer names a state that this version doesn't know", "use the same version on both ends");
  s.state = *state;
  read(j, "link", s.link);
  read(j, "detail", s.detail);
  if (j.contains("source")) s.source = read_cluster(j["source"]);
  if (j.contains("target")) s.target = read_cluster(j["target"]);
  read(j, "lag_ms", s.lag_ms);
  if (auto at = j.find("positions"); at != j.end())
    for (const auto& [shard, p] : at->items())
      s.positions[shard] = {read_timestamp(p, "read"), read_timestamp(p, "planned"), read_timestamp(p, "applied"),
                            read_timestamp(p, "checkpointed")};
  if (auto at = j.find("throttle"); at != j.end()) {
    read(*at, "copy_bytes_per_second", s.throttle.copy_bytes);
    read(*at, "operations_per_second", s.throttle.operations);
    read(*at, "copiers", s.throttle.copiers);
    read(*at, "lanes", s.throttle.lanes);
    read(*at, "verify_bytes_per_second", s.throttle.verify_bytes);
  }
  if (auto at = j.find("journal"); at != j.end()) {
    read(*at, "bytes", s.journal.bytes);
    read(*at, "bytes_max", s.journal.bytes_max);
    read(*at, "age_s", s.journal.age_s);
    read(*at, "full", s.journal.full);
  }
  if (j.contains("copy")) s.copy = read_copy(j["copy"]);
  if (auto at = j.find("index_builds"); at != j.end())
    for (const auto& one : *at) s.index_builds.push_back(read_index_build(one));
  if (j.contains("ops")) s.ops = read_ops(j["ops"]);
  if (auto at = j.find("verification"); at != j.end() && at->is_object()) s.verification = verification_from_json(at->dump());
  read(j, "warnings", s.warnings);
  read(j, "roles_swapped", s.roles_swapped);
  if (auto at = j.find("handover"); at != j.end() && at->is_object()) s.handover = read_handover(*at);
  if (auto at = j.find("error"); at != j.end() && at->is_object()) {
    s.error.emplace();
    read(*at, "what", s.error->what);
    read(*at, "hint", s.error->hint);
    read(*at, "remedy", s.error->remedy);
  }
  return s;
}

}  // namespace

std::string to_json(const Status& s) {
  Json out = {{"link", s.link},
              {"state", to_string(s.state)},
              {"detail", redact(s.detail)},
              {"source", write(s.source)},
              {"target", write(s.target)},
              {"lag_ms", or_null(s.lag_ms)},
              {"positions", write_positions(s.positions)},
              {"journal", {{"bytes", s.journal.bytes}, {"bytes_max", s.journal.bytes_max}, {"age_s", or_null(s.journal.age_s)}, {"full", s.journal.full}}},
              {"throttle", {{"copy_bytes_per_second", or_null(s.throttle.copy_bytes)}, {"operations_per_second", or_null(s.throttle.operations)}, {"copiers", s.throttle.copiers}, {"lanes", s.throttle.lanes}, {"verify_bytes_per_second", or_null(s.throttle.verify_bytes)}}},
              {"copy", write(s.copy)},
              {"index_builds", write(s.index_builds)},
              {"ops", write(s.ops)},
              {"verification", s.verification ? Json::parse(to_json(*s.verification, Lists::without)) : Json(nullptr)},
              {"warnings", redacted(s.warnings)},
              {"roles_swapped", s.roles_swapped},
              {"handover", write_handover(s.handover)},
              {"error", write_error(s.error)}};
  // A name on the server may hold bytes that are no UTF-8: they are replaced, a status must never fail for that.
  return out.dump(2, ' ', false, Json::error_handler_t::replace);
}

Status from_json(const std::string& text) {
  try {
    return read_status(Json::parse(text));
  } catch (const nlohmann::json::exception&) {
    throw Error(Remedy::fix_config, "the answer is no mongotwin status", "check that the address is that of mongotwin's API");
  }
}

}  // namespace mongotwin::status
