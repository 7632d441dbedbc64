// SPDX-License-Identifier: Apache-2.0
#include "cli/cli.h"

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <cstdio>

#include "base/error.h"
#include "base/log.h"
#include "cli/remote.h"
#include "cli/run.h"

#ifndef TWIN_VERSION
#define TWIN_VERSION "unknown"
#endif
#ifndef TWIN_MONGOC_VERSION
#define TWIN_MONGOC_VERSION "unknown"
#endif

namespace mongotwin::cli {
namespace {

constexpr int kDifferent = 3;
constexpr const char* kAbout = "mongotwin keeps two MongoDB clusters identical, whatever their internal layout.";

constexpr const char* kFooter =
    "A configuration is a YAML file:\n"
    "  source: mongodb://twin:${SOURCE_PASSWORD}@127.0.0.1:27100/\n"
    "  target: file:/etc/mongotwin/target.uri\n"
    "  namespaces: {include: [\"shop.*\"], exclude: [\"shop.tmp_*\"]}   # left out: everything\n"
    "  api: {listen: \"127.0.0.1:8470\"}\n"
    "Passwords stand there, in a variable or in a file, never on the command line.\n"
    "\n"
    "How it goes:\n"
    "  mongotwin check  --config twin.yaml    is everything as it must be? changes nothing\n"
    "  mongotwin run    --config twin.yaml    copy, then follow; stop with Ctrl-C or SIGTERM, start again to go on\n"
    "  mongotwin status                       how far is it?\n"
    "  mongotwin switchover                   source and target change their roles; nothing is lost, and nothing copied again\n"
    "  mongotwin failover                     the source is gone: the target takes over, and what is lost is said\n"
    "  mongotwin rejoin                       the old source is back: it follows\n"
    "  mongotwin verify --config twin.yaml    are both the same? names what differs\n"
    "  mongotwin finish                       apply what the source has now, then stop following\n"
    "\n"
    "Exit status: 0 done; 1 what went wrong is said in one sentence; 2 wrong usage; 3 verify found differences.\n"
    "`mongotwin COMMAND --help` says more about a command.";

struct Arguments {
  RunRequest run;
  std::string log_level;
  bool no_progress = false;
  Where where;
  bool json = false, wait = true, dry_run = false, force = false, may_copy = false, verify_first = false;
  options::ThrottleTexts throttle;
  VerifyWish verify;
};

struct Commands {
  const CLI::App *run, *check, *status, *pause, *resume, *finish, *throttle, *switchover, *failover, *rejoin, *verify, *version;
};

void add_config(CLI::App* command, std::string& into) { command->add_option("-c,--config", into, "The YAML file that describes the pair")->required()->type_name("FILE"); }

CLI::App* add_remote(CLI::App& app, const char* name, const char* about, const char* footer, Where& where) {
  auto* command = app.add_subcommand(name, about);
  auto* api = command->add_option("--api", where.api, "Where it runs (127.0.0.1:8470 if nothing is said)")->type_name("HOST:PORT");
  command->add_option("-c,--config", where.config, "The configuration that says where it runs")->type_name("FILE")->excludes(api);
  command->footer(footer);
  return command;
}

CLI::App* add_run(CLI::App& app, Arguments& a) {
  auto* command = app.add_subcommand("run", "Copy the source to the target and follow it, in the foreground");
  add_config(command, a.run.config);
  command->add_option("--log-level", a.log_level, "Instead of the configuration's: debug, info, warning or error")->check(CLI::IsMember({"debug", "info", "warning", "error"}))->type_name("LEVEL");
  command->add_flag("--no-progress", a.no_progress, "Log lines instead of the live view, also on a terminal");
  command->footer(
      "Example: mongotwin run --config twin.yaml\n"
      "On a terminal it shows the copy and then the lag, and log lines go to the file of `log: {file: …}` only;\n"
      "elsewhere it writes log lines. The first SIGINT or SIGTERM stops it in good order, a second one at once;\n"
      "either way the next start goes on from the checkpoint. Exit status 0 after a stop, 1 after a failure.");
  return command;
}

CLI::App* add_check(CLI::App& app, Arguments& a) {
  auto* command = app.add_subcommand("check", "Look whether run could start; change nothing");
  add_config(command, a.run.config);
  command->footer("Example: mongotwin check --config twin.yaml\nExit status 0 if run can start, 1 with the reason if it can't.");
  return command;
}

CLI::App* add_verify(CLI::App& app, Arguments& a) {
  auto* command = add_remote(app, "verify", "Compare both clusters while writes go on, and name what differs",
                             "Examples: mongotwin verify --config twin.yaml\n          mongotwin verify --mode bytes --namespace 'shop.*'\n          mongotwin verify --config twin.yaml --repair\n"
                             "It asks the running mongotwin and follows what it does; one that is under way already is followed if no option says otherwise.\n"
                             "Where none runs, --config lets it compare both clusters as they are, without replication.\n"
                             "A digest is computed inside the servers and can't see everything: docs/verify.md says what; `--mode bytes` reads all.\n"
                             "Exit status: 0 identical (or, with --no-wait, accepted); 3 something differs; 1 it could not be done.", a.where);
  command->add_option("--mode", a.verify.mode, "digest or bytes; as the configuration says if it is left out")->check(CLI::IsMember({"digest", "bytes"}))->type_name("MODE");
  command->add_flag("--repair", a.verify.repair, "Write the source's document over each that differs, and say so");
  command->add_option("--namespace", a.verify.namespaces, "Only these of the source, such as shop.orders or 'shop.*'; may be given several times")->type_name("NS");
  command->add_flag("--wait,!--no-wait", a.verify.wait, "Follow it to its end (the default), or only ask for it");
  command->add_flag("--cancel", a.verify.cancel, "End the one under way");
  command->add_flag("--json", a.verify.json, "The result as GET /api/v1/verify gives it");
  return command;
}

Commands add_commands(CLI::App& app, Arguments& a) {
  Commands c{};
  c.run = add_run(app, a);
  c.check = add_check(app, a);
  auto* status = add_remote(app, "status", "Show how a running replication stands", "Examples: mongotwin status\n          mongotwin status --api 127.0.0.1:8470 --json", a.where);
  status->add_flag("--json", a.json, "The snapshot as GET /api/v1/status gives it");
  c.status = status;
  c.pause = add_remote(app, "pause", "Stop applying; reading goes on", "Example: mongotwin pause --config twin.yaml", a.where);
  c.resume = add_remote(app, "resume", "Go on after a pause", "Example: mongotwin resume --config twin.yaml", a.where);
  auto* finish = add_remote(app, "finish", "Apply what the source has now, put back what was held back on the target, stop following",
                            "Examples: mongotwin finish --config twin.yaml\n          mongotwin finish --verify --config twin.yaml\n"
                            "Stop the writers of the source first. It waits until the state is finished and prints what a last look at definitions,\n"
                            "counts and samples says. Exit status: 0 finished; 1 failed; 3, with --verify, something differs and nothing was ended.", a.where);
  finish->add_flag("--verify", a.verify_first, "Compare all documents first, as mongotwin verify does, and go on only if they are identical");
  finish->add_flag("--wait,!--no-wait", a.wait, "Wait until it is over (the default), or only ask for it");
  c.finish = finish;
  auto* throttle = add_remote(app, "throttle", "Change how fast and how parallel it may copy and apply, at once and until the next start",
                              "Examples: mongotwin throttle --copy 20MB --operations 5000\n          mongotwin throttle --copy off\n          mongotwin throttle --copiers 2 --lanes 4\n"
                              "0 stops that work until it is changed. The configuration's `throttle`, `copiers` and `lanes` hold at every start.", a.where);
  throttle->add_option("--copy", a.throttle.copy, "Bytes a second of the initial copy, such as 20MB, or off")->type_name("SIZE");
  throttle->add_option("--operations", a.throttle.operations, "Operations a second, or off")->type_name("N");
  throttle->add_option("--copiers", a.throttle.copiers, "Parallel copiers of the initial copy, 0 to 64")->type_name("N");
  throttle->add_option("--lanes", a.throttle.lanes, "Parallel writers while following, 0 to 64")->type_name("N");
  throttle->add_option("--verify", a.throttle.verify, "Bytes a second that a verification looks at on the source, such as 20MB, or off")->type_name("SIZE");
  c.throttle = throttle;
  auto* switchover = add_remote(app, "switchover", "Source and target change their roles, planned and without loss; the old source follows the new one",
                                "Examples: mongotwin switchover --dry-run\n          mongotwin switchover --config twin.yaml\n"
                                "It looks first whether all is as it must be (--dry-run: only that), closes both clusters for their users' writes, applies the\n"
                                "source's last entry, opens the target and follows it. Trouble on the way puts everything back. Switching back is the same\n"
                                "command. The configuration stays as it is. Exit status 0: done, and the time that writes were closed is printed; 1: it was\n"
                                "refused or given up, with the reason.", a.where);
  switchover->add_flag("--dry-run", a.dry_run, "Only say what it demands and what is found");
  c.switchover = switchover;
  auto* failover = add_remote(app, "failover", "The source is gone: apply what was read of it, open the target, say what is lost",
                              "Examples: mongotwin failover --config twin.yaml\n          mongotwin failover --config twin.yaml --force\n"
                              "The target ends as a state that the source has had, transactions whole. If no mongotwin runs, this command does it by\n"
                              "itself, with --config and the journal of the dead one. It refuses while the source answers, and when one of its shards\n"
                              "was silent long before the others: --force does it all the same. Exit status 0: done; 1: refused or failed, with the reason.", a.where);
  failover->add_flag("--force", a.force, "Although the source answers, or with what other shards wrote after one fell silent given up");
  c.failover = failover;
  auto* rejoin = add_remote(app, "rejoin", "After a failover the old source is back: it becomes the follower",
                            "Example: mongotwin rejoin --config twin.yaml\n"
                            "The old source is closed for writes. Documents that it wrote and that never came over are saved to a file beside the\n"
                            "journal and brought to what the new source has; then it follows, without a copy where both oplogs reach back to the\n"
                            "failover. Else it says so, and --copy allows a new copy.", a.where);
  rejoin->add_flag("--copy", a.may_copy, "Also if only a new copy helps, which replaces all that the old source has");
  c.rejoin = rejoin;
  c.verify = add_verify(app, a);
  c.version = app.add_subcommand("version", "Print the versions of mongotwin and its driver");
  return c;
}

log::Level level_of(const std::string& name) {
  if (name == "debug") return log::Level::debug;
  if (name == "warning") return log::Level::warning;
  return name == "error" ? log::Level::error : log::Level::info;
}

void run_check(const std::string& config, const CheckFunction& check) {
  for (const auto& line : check(options::load(config))) fmt::print("{}\n", redact(line));
}

void run_failover(const Where& where, bool force, const FailoverFunction& fail_over_alone) {
  if (fail_over(where, force)) return;
  if (where.config.empty()) throw Error(Remedy::fix_config, "no mongotwin runs there", "name the configuration with --config: then this command does the failover by itself");
  for (const auto& line : fail_over_alone(options::load(where.config), force)) fmt::print("{}\n", redact(line));
}

// The exit status.
int execute(const Commands& c, Arguments& a, const Program& program) {
  if (!a.log_level.empty()) a.run.log_level = level_of(a.log_level);
  a.run.progress = !a.no_progress;
  if (c.run->parsed()) run(a.run, program.make_engine);
  if (c.check->parsed()) run_check(a.run.config, program.check);
  if (c.status->parsed()) show_status(a.where, a.json);
  if (c.pause->parsed()) send_command(a.where, "pause");
  if (c.resume->parsed()) send_command(a.where, "resume");
  if (c.finish->parsed() && a.verify_first) {
    a.verify.whole = true;
    if (!verify(a.where, a.verify, program.verify)) return kDifferent;
  }
  if (c.finish->parsed()) finish(a.where, a.wait);
  if (c.throttle->parsed()) throttle(a.where, a.throttle);
  if (c.switchover->parsed()) switch_over(a.where, a.dry_run);
  if (c.failover->parsed()) run_failover(a.where, a.force, program.fail_over);
  if (c.rejoin->parsed()) rejoin(a.where, a.may_copy);
  if (c.version->parsed()) fmt::print("mongotwin {}\nlibmongoc {}\n", TWIN_VERSION, TWIN_MONGOC_VERSION);
  return !c.verify->parsed() || verify(a.where, a.verify, program.verify) ? 0 : kDifferent;
}

// One sentence for the person; the log's file, if there is one, gets it too.
int say(const std::string& what, const std::string& hint) {
  auto sentence = redact(what + (hint.empty() ? "" : "; " + hint));
  log::quiet(true);
  log::error("cli", "{}", sentence);
  log::quiet(false);
  std::fflush(stdout);  // what was printed before comes first
  fmt::print(stderr, "mongotwin: {}\n", sentence);
  return 1;
}

bool names_a_uri(int argc, const char* const* argv) {
  for (int i = 1; i < argc; ++i)
    if (std::string_view(argv[i]).find("://") != std::string_view::npos) return true;
  return false;
}

int wrong_usage(const CLI::App& app, const CLI::ParseError& e, int argc, const char* const* argv) {
  auto chosen = app.get_subcommands();
  auto help = "mongotwin " + (chosen.empty() ? "" : chosen.front()->get_name() + " ") + "--help";
  // Its words may repeat an argument, and a connection string does not belong into a message.
  auto what = std::string(e.what());
  if (chosen.empty() && argc > 1) what = std::string("there is no command ") + argv[1];
  if (names_a_uri(argc, argv)) what = "connection strings belong into the configuration, not on the command line";
  fmt::print(stderr, "mongotwin: {}; see {}\n", what, help);
  return 2;
}

}  // namespace

int main(int argc, const char* const* argv, const Program& program) {
  CLI::App app(kAbout, "mongotwin");
  app.footer(kFooter);
  app.require_subcommand(1);
  Arguments arguments;
  auto commands = add_commands(app, arguments);
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& e) {
    return e.get_exit_code() == 0 ? app.exit(e) : wrong_usage(app, e, argc, argv);
  }
  try {
    return execute(commands, arguments, program);
  } catch (const Error& e) {
    return say(e.what(), e.hint());
  } catch (const std::exception& e) {
    return say(std::string("unexpected: ") + e.what(), "please report it with the log");
  }
}

}  // namespace mongotwin::cli
