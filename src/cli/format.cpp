// SPDX-License-Identifier: Apache-2.0
#include "cli/format.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

namespace mongotwin::cli {
namespace {

bool continues_character(char c) { return (static_cast<unsigned char>(c) & 0xc0) == 0x80; }

std::size_t characters_of(std::string_view text) {
  return static_cast<std::size_t>(std::count_if(text.begin(), text.end(), [](char c) { return !continues_character(c); }));
}

}  // namespace

std::string count(std::uint64_t n) {
  auto digits = std::to_string(n);
  for (auto at = static_cast<std::ptrdiff_t>(digits.size()) - 3; at > 0; at -= 3) digits.insert(static_cast<std::size_t>(at), ",");
  return digits;
}

std::string rate(double per_second) {
  if (!(per_second > 0)) return "0";
  return per_second < 9.95 ? fmt::format("{:.1f}", per_second) : count(static_cast<std::uint64_t>(std::llround(per_second)));
}

std::string size(std::uint64_t bytes) {
  static constexpr const char* kUnits[] = {"B", "KB", "MB", "GB", "TB", "PB"};
  auto value = static_cast<double>(bytes);
  std::size_t unit = 0;
  while (value >= 999.95 && unit + 1 < std::size(kUnits)) {
    value /= 1000;
    ++unit;
  }
  return unit == 0 ? fmt::format("{} B", bytes) : fmt::format("{:.1f} {}", value, kUnits[unit]);
}

std::string duration(std::uint64_t s) {
  if (s < 60) return fmt::format("{} s", s);
  if (s < 3600) return fmt::format("{} min {} s", s / 60, s % 60);
  if (s < 86400) return fmt::format("{} h {} min", s / 3600, s / 60 % 60);
  return fmt::format("{} d {} h", s / 86400, s / 3600 % 24);
}

std::string lag(std::int64_t lag_ms) {
  lag_ms = std::max<std::int64_t>(lag_ms, 0);
  return lag_ms < 60'000 ? fmt::format("{}.{} s", lag_ms / 1000, lag_ms / 100 % 10) : duration(static_cast<std::uint64_t>(lag_ms) / 1000);
}

double fraction(std::uint64_t done, std::uint64_t total) {
  return total == 0 || done >= total ? 1.0 : static_cast<double>(done) / static_cast<double>(total);
}

std::string percent(double f) { return fmt::format("{:5.1f} %", f >= 1 ? 100.0 : std::floor(f * 1000) / 10); }

std::string bar(double f, std::size_t characters) {
  auto full = f >= 1 ? characters : static_cast<std::size_t>(f * static_cast<double>(characters));
  return "[" + std::string(full, '#') + std::string(characters - full, '-') + "]";
}

std::string clip(std::string_view text, std::size_t characters) {
  std::string out;
  std::size_t taken = 0;
  for (char c : text) {
    if (!continues_character(c) && taken++ == characters) break;
    out += static_cast<unsigned char>(c) < 0x20 || c == 0x7f ? '?' : c;
  }
  return out;
}

std::string pad(std::string_view text, std::size_t characters) {
  auto out = clip(text, characters);
  return out + std::string(characters - std::min(characters, characters_of(out)), ' ');
}

}  // namespace mongotwin::cli
