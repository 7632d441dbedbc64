// SPDX-License-Identifier: Apache-2.0
#include "cli/run.h"

#include <unistd.h>

#include <stop_token>

#include "cli/progress.h"
#include "cli/signals.h"
#include "http/server.h"

namespace mongotwin::cli {
namespace {

Progress::Kind kind_of_progress(const RunRequest& request) {
  return request.progress && isatty(STDERR_FILENO) != 0 ? Progress::Kind::terminal : Progress::Kind::log;
}

}  // namespace

void run(const RunRequest& request, const EngineFactory& make_engine) {
  auto options = options::load(request.config);
  log::init(request.log_level.value_or(options.log.level), options.log.file);
  // In this order: each one is used by those after it, and goes down after them.
  std::stop_source stop;
  Signals signals;
  signals.listen([stop](const char* name) mutable {
    log::info("cli", "{} received", name);
    stop.request_stop();
  });
  status::StatusBoard board;
  auto engine = make_engine(options, board);
  http::Server server(board, *engine, {options.api.host, options.api.port, options.api.names});
  server.start();
  Progress progress(board, kind_of_progress(request), STDERR_FILENO);
  std::stop_callback say_so(stop.get_token(), [&] { progress.note("stopping; a second signal ends it at once"); });
  engine->run(stop.get_token());
}

}  // namespace mongotwin::cli
