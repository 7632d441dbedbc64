// SPDX-License-Identifier: Apache-2.0
// Logging: one line an event, "time level component message". log::info("copy", "…{}", x). Thread-safe.
// Secrets: every text passes redact(), which blanks the user part of a URI.
#pragma once

#include <fmt/format.h>

#include <string>
#include <string_view>

namespace mongotwin::log {

enum class Level { debug, info, warning, error };

// Where lines go: stderr (default) or a file; throws Error(fix_config) if it can't be opened.
void init(Level level, const std::string& file = {});
void write(Level level, std::string_view component, const std::string& message);
// For a terminal view that owns the screen: keeps lines off stderr while true (they still go to a file).
void quiet(bool on);

template <class... Args>
void debug(std::string_view component, fmt::format_string<Args...> f, Args&&... args) {
  write(Level::debug, component, fmt::format(f, std::forward<Args>(args)...));
}
template <class... Args>
void info(std::string_view component, fmt::format_string<Args...> f, Args&&... args) {
  write(Level::info, component, fmt::format(f, std::forward<Args>(args)...));
}
template <class... Args>
void warn(std::string_view component, fmt::format_string<Args...> f, Args&&... args) {
  write(Level::warning, component, fmt::format(f, std::forward<Args>(args)...));
}
template <class... Args>
void error(std::string_view component, fmt::format_string<Args...> f, Args&&... args) {
  write(Level::error, component, fmt::format(f, std::forward<Args>(args)...));
}

}  // namespace mongotwin::log

namespace mongotwin {

// "mongodb://user:secret@host/…" → "mongodb://***@host/…", wherever it stands in the text.
[[nodiscard]] std::string redact(std::string_view text);

}  // namespace mongotwin
