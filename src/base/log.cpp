// SPDX-License-Identifier: Apache-2.0
#include "base/log.h"

#include <spdlog/sinks/basic_file_sink.h>
#include <spdlog/sinks/stdout_sinks.h>
#include <spdlog/spdlog.h>

#include <algorithm>
#include <atomic>
#include <memory>

#include "base/error.h"

namespace mongotwin {

std::string redact(std::string_view text) {
  std::string out;
  for (;;) {
    auto start = std::min(text.find("mongodb://"), text.find("mongodb+srv://"));
    if (start == std::string_view::npos) break;
    start = text.find("://", start) + 3;
    // A password may hold '@', '/' or a quote unescaped by mistake: the user part ends at the last '@' before a blank.
    auto stop = text.find_first_of(" \n", start);
    auto at = text.substr(0, stop).rfind('@');
    out += text.substr(0, start);
    if (at != std::string_view::npos && at >= start) {
      out += "***";
      start = at;
    }
    text.remove_prefix(start);
  }
  out += text;
  for (std::string_view secret : {"tlsCertificateKeyFilePassword=", "sslClientCertificateKeyPassword=", "AWS_SESSION_TOKEN:"})
    for (auto at = out.find(secret); at != std::string::npos; at = out.find(secret, at + 1)) {
      auto start = at + secret.size();
      auto stop = out.find_first_of("&, \"'\n", start);
      out.replace(start, stop == std::string::npos ? stop : stop - start, "***");
    }
  return out;
}

namespace log {
namespace {

struct Sinks {
  std::shared_ptr<spdlog::logger> screen = std::make_shared<spdlog::logger>("screen", std::make_shared<spdlog::sinks::stderr_sink_mt>());
  std::shared_ptr<spdlog::logger> file;
  std::atomic<bool> quiet{false};
  Sinks() { setup(*screen, Level::info); }
  static void setup(spdlog::logger& logger, Level level) {
    static constexpr spdlog::level::level_enum kLevels[] = {spdlog::level::debug, spdlog::level::info, spdlog::level::warn, spdlog::level::err};
    logger.set_pattern("%Y-%m-%dT%H:%M:%S.%e %-7l %v");
    logger.set_level(kLevels[static_cast<int>(level)]);
    logger.flush_on(spdlog::level::info);
  }
};

Sinks& sinks() {
  static Sinks instance;
  return instance;
}

}  // namespace

void init(Level level, const std::string& file) {
  Sinks::setup(*sinks().screen, level);
  if (file.empty()) return;
  try {
    sinks().file = std::make_shared<spdlog::logger>("file", std::make_shared<spdlog::sinks::basic_file_sink_mt>(file));
  } catch (const spdlog::spdlog_ex& e) {
    throw Error(Remedy::fix_config, fmt::format("the log file {} can't be opened: {}", file, e.what()), "name a file in a folder that exists and is writable");
  }
  Sinks::setup(*sinks().file, level);
}

void quiet(bool on) { sinks().quiet = on; }

void write(Level level, std::string_view component, const std::string& message) {
  static constexpr spdlog::level::level_enum kLevels[] = {spdlog::level::debug, spdlog::level::info, spdlog::level::warn, spdlog::level::err};
  auto line = fmt::format("{:<10} {}", component, redact(message));
  auto& s = sinks();
  if (!s.quiet) s.screen->log(kLevels[static_cast<int>(level)], "{}", line);
  if (s.file) s.file->log(kLevels[static_cast<int>(level)], "{}", line);
}

}  // namespace log
}  // namespace mongotwin
