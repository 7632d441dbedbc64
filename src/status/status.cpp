// SPDX-License-Identifier: Apache-2.0
#include "status/status.h"

#include <array>
#include <utility>

namespace mongotwin::status {
namespace {

constexpr std::array<std::pair<State, const char*>, 9> kNames{{
    {State::starting, "starting"},
    {State::copying, "copying"},
    {State::catching_up, "catching_up"},
    {State::replicating, "replicating"},
    {State::paused, "paused"},
    {State::finishing, "finishing"},
    {State::finished, "finished"},
    {State::failed_over, "failed_over"},
    {State::failed, "failed"},
}};

}  // namespace

const char* to_string(State state) {
  for (const auto& [value, name] : kNames)
    if (value == state) return name;
  return "unknown";
}

std::optional<State> state_from(std::string_view name) {
  for (const auto& [value, text] : kNames)
    if (name == text) return value;
  return std::nullopt;
}

}  // namespace mongotwin::status
