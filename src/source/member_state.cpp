// SPDX-License-Identifier: Apache-2.0
#include "source/member_state.h"

#include <fmt/format.h>

#include "base/backoff.h"
#include "base/worker.h"
#include "source/mongo_oplog.h"

namespace mongotwin::source {
namespace {

constexpr std::chrono::milliseconds kLookFirst{2}, kLookMost{100};
constexpr int kLooks = 12;  // about half a second

oplog::Timestamp majority_of(mongo::Client& client, std::uint32_t server) {
  auto session = client.start_session();
  auto reply = client.run_on(server, *session, "admin", bson::Builder().int32("hello", 1).finish());
  return reply.view().fields("lastWrite").fields("majorityOpTime")["ts"].timestamp().value_or(bson::Timestamp());
}

}  // namespace

void await_state(mongo::Client& client, std::uint32_t server, oplog::Timestamp position, mongo::Client* leader, std::stop_token stop) {
  auto has = majority_of(client, server);
  if (has >= position) return;
  if (leader != nullptr) nudge(*leader, client);
  Backoff backoff(kLookFirst, kLookMost);
  for (int look = 0; look < kLooks && sleep_for(stop, backoff.next()); ++look)
    if ((has = majority_of(client, server)) >= position) return;
  throw MemberIsBehind(fmt::format("{}: {} is behind what is to be read of it ({}): it is at {}", client.label(), client.host_of(server), oplog::to_string(position), oplog::to_string(has)));
}

}  // namespace mongotwin::source
