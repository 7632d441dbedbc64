// SPDX-License-Identifier: Apache-2.0
#include "control/roles.h"

#include <fmt/format.h>

#include "base/log.h"
#include "checkpoint/store.h"
#include "mongo/cluster.h"

namespace mongotwin::control {

using checkpoint::Checkpoint;
using checkpoint::Phase;

namespace {

[[noreturn]] void as_config_error(const mongo::CommandError& e, const std::string& uri) { throw Error(Remedy::fix_config, fmt::format("{} ({})", e.what(), redact(uri)), e.hint()); }

std::string id_on(const char* label, const std::string& uri) {
  mongo::Pool pool(label, uri);
  try {
    return mongo::id_of(pool);
  } catch (const mongo::CommandError& e) {
    as_config_error(e, uri);
  }
}

std::optional<Checkpoint> document_on(const char* label, const std::string& uri, const std::string& link) {
  mongo::Pool pool(label, uri);
  try {
    if (auto document = checkpoint::MongoCheckpointStore(pool, link).load()) return Checkpoint::parse(*document);
  } catch (const mongo::CommandError& e) {
    // Who may not even read it there has never changed roles, which takes more rights.
    if (e.code() == mongo::code::kUnauthorized) return {};
    as_config_error(e, uri);
  }
  return {};
}

}  // namespace

bool are_swapped(const std::optional<Checkpoint>& on_target, const std::optional<Checkpoint>& on_source, const std::string& target_id) {
  auto holds = [](const auto& c) { return c && c->phase != Phase::switched; };
  if (!holds(on_source)) return false;
  if (!target_id.empty() && on_source->source_id != target_id) return false;
  return !holds(on_target) || on_source->generation > on_target->generation;
}

bool answers(const std::string& uri) {
  constexpr std::chrono::seconds kPatience{3};
  mongo::Pool pool("source", uri, {kPatience, kPatience});
  try {
    pool.acquire().run("admin", bson::Builder().int32("ping", 1).finish());
    return true;
  } catch (const mongo::CommandError& e) {
    return !e.network() && e.remedy() != Remedy::retry;  // a refusal is an answer too
  }
}

options::Options find_roles_without_source(const options::Options& configured) {
  bool target = answers(configured.target_uri);
  auto on_target = target ? document_on("target", configured.target_uri, configured.link) : std::nullopt;
  auto on_source = answers(configured.source_uri) ? document_on("source", configured.source_uri, configured.link) : std::nullopt;
  return are_swapped(on_target, on_source, target ? id_on("target", configured.target_uri) : std::string()) ? options::reversed(configured) : configured;
}

options::Options find_roles(const options::Options& configured) {
  auto on_target = document_on("target", configured.target_uri, configured.link);
  auto on_source = document_on("source", configured.source_uri, configured.link);
  if (!on_source) return configured;
  return are_swapped(on_target, on_source, id_on("target", configured.target_uri)) ? options::reversed(configured) : configured;
}

}  // namespace mongotwin::control
