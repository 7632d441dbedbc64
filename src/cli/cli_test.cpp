// SPDX-License-Identifier: Apache-2.0
// The command line as a process: a child runs cli::main with a fake engine, the test reads what it prints, sends it
// signals and looks at its exit status.
#include "cli/cli.h"

#include <gtest/gtest.h>
#include <httplib.h>
#include <pty.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <condition_variable>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <regex>
#include <thread>

#include "base/error.h"
#include "base/worker.h"
#include "http/server.h"

namespace mongotwin::cli {
namespace {

namespace fs = std::filesystem;
using status::State;

class FakeEngine : public Engine {
 public:
  FakeEngine(status::StatusBoard& board, std::string link) : board_(board), link_(std::move(link)) { move(State::starting); }

  void run(std::stop_token stop) override {
    if (link_ == "broken") throw Error(Remedy::fix_config, "the target mongodb://u:hunter2@h is not empty", "empty it");
    if (link_ == "bug") throw std::logic_error("oops");
    move(State::replicating);
    while (sleep_for(stop, std::chrono::milliseconds(50)) && link_ != "short") continue;
    if (link_ == "stuck") pause_for_ever();
  }
  void pause() override { move(State::paused); }
  void resume() override { throw Error(Remedy::pause, "it is not paused", "nothing to do"); }
  void finish() override { move(link_ == "fails" ? State::failed : State::finished); }
  void throttle(const status::Throttles& throttles) override { throttles_ = throttles; }
  [[nodiscard]] status::Throttles throttles() const override { return throttles_; }
  void fail_over(bool force) override { end_handover("failover", force); }
  void rejoin(bool may_copy) override { end_handover("rejoin", may_copy); }
  [[nodiscard]] std::vector<status::Condition> switch_over(bool dry_run) override {
    using Kind = status::Condition::Kind;
    if (link_ == "behind") return {{Kind::fine, "lag: 0.1 s", ""}, {Kind::refused, "the user lacks a right", "grant it"}};
    if (!dry_run) {
      auto next = *board_.get();
      next.handover = status::Handover{"switchover", "", link_ != "fails", 840, {}, link_ == "fails" ? "it was given up" : "", {"written past the block"}, 1};
      board_.set(next);
    }
    return {{Kind::fine, "lag: 0.1 s", ""}, {Kind::warning, "an older cluster", "mind it"}};
  }
  void verify(const status::VerifyRequest& request) override {
    if (link_ == "unready") throw Error(Remedy::pause, "can't verify while copying", "wait");
    status::Verification v;
    v.number = 7;
    v.request = request;
    v.verdict = link_ == "differs" ? status::Verdict::different : link_ == "lost" ? status::Verdict::failed : status::Verdict::identical;
    v.failure = "no history";
    if (link_ == "differs") {
      v.differences = 1;
      v.listed.push_back({"shop.orders", "7", "fields", "field total has another value", "repair it", 1, 2, false});
    }
    Lock lock(m_);
    verification_ = v;
  }
  void cancel_verification() override {}
  [[nodiscard]] std::optional<status::Verification> verification() const override {
    Lock lock(m_);
    return verification_;
  }
  [[nodiscard]] status::VerifyRequest usual_verification() const override { return {}; }

 private:
  void end_handover(const char* kind, bool allowed) {
    if (!allowed) throw Error(Remedy::pause, std::string(kind) + " refused", "allow it");
    auto next = *board_.get();
    next.handover = status::Handover{kind, "", true, {}, bson::Timestamp{5, 1}, "", {"what is lost"}, 1};
    next.state = std::string(kind) == "failover" ? status::State::failed_over : status::State::replicating;
    board_.set(next);
  }
  mutable Mutex m_;
  std::optional<status::Verification> verification_ GUARDED_BY(m_);
  status::Throttles throttles_;
  [[noreturn]] static void pause_for_ever() {
    for (;;) ::pause();
  }
  void move(State state) {
    auto next = *board_.get();
    next.link = link_;
    next.state = state;
    if (state == State::failed) next.error = status::Failure{"a clash", "mend it", "pause"};
    board_.set(next);
  }
  status::StatusBoard& board_;
  std::string link_;
};

int main_with_fake_engine(const std::vector<std::string>& arguments) {
  std::vector<const char*> argv{"mongotwin"};
  for (const auto& a : arguments) argv.push_back(a.c_str());
  return main(
      static_cast<int>(argv.size()), argv.data(), {[](const options::Options& o, status::StatusBoard& board) { return std::make_unique<FakeEngine>(board, o.link); },
      [](const options::Options& o) -> std::vector<std::string> {
        if (o.link == "broken") throw Error(Remedy::fix_config, "a right is missing", "grant it");
        return {"source: fine", "target: mongodb://u:hunter2@h is fine"};
      },
      [](const options::Options& o, bool force) -> std::vector<std::string> {
        if (!force) throw Error(Remedy::pause, "the source answers", "use --force");
        return {"applied up to now by " + o.link};
      },
      [](const options::Options&, const status::VerifyRequest&, const auto& progress) {
        status::Verification v;
        progress(v);
        v.replicating = false;
        v.verdict = status::Verdict::identical;
        return v;
      }});
}

// A child process; its standard output and error come together through a pipe or, with `terminal`, a pseudo-terminal.
class Child {
 public:
  explicit Child(std::vector<std::string> arguments, bool terminal = false) {
    int ends[2] = {-1, -1};
    if (!terminal && pipe(ends) != 0) abort();
    winsize size{24, 100, 0, 0};
    pid_ = terminal ? forkpty(&out_, nullptr, nullptr, &size) : fork();
    if (pid_ == 0) {
      if (!terminal) {
        dup2(ends[1], 1);
        dup2(ends[1], 2);
        close(ends[0]);
        close(ends[1]);
      }
      alarm(60);  // a child that hangs fails its test
      int status = main_with_fake_engine(arguments);
      std::fflush(nullptr);
      _exit(status);
    }
    if (terminal) return;
    close(ends[1]);
    out_ = ends[0];
  }
  ~Child() {
    if (!over_) kill(pid_, SIGKILL), (void)finish();
    close(out_);
  }

  // Reads until the output holds the text; false at its end.
  bool sees(const std::string& text) {
    while (output.find(text) == std::string::npos)
      if (!read_some()) return false;
    return true;
  }
  int finish() {
    while (read_some()) continue;
    int status = 0;
    waitpid(pid_, &status, 0);
    over_ = true;
    return WIFEXITED(status) ? WEXITSTATUS(status) : 1000 + WTERMSIG(status);
  }
  void send(int signal) const { kill(pid_, signal); }
  // From the log line "the API listens on 127.0.0.1:PORT".
  std::string api() {
    std::smatch match;
    if (!sees("listens on") || !sees("\n")) return "";
    while (!std::regex_search(output, match, std::regex("listens on ([0-9.]+:[0-9]+)\n")))
      if (!read_some()) return "";
    return match[1];
  }

  std::string output;

 private:
  bool read_some() {
    char buffer[4096];
    auto n = read(out_, buffer, sizeof buffer);
    if (n > 0) output.append(buffer, static_cast<std::size_t>(n));
    return n > 0;
  }
  pid_t pid_ = -1;
  int out_ = -1;
  bool over_ = false;
};

struct Result {
  int status;
  std::string output;
};

Result call(std::vector<std::string> arguments) {
  Child child(std::move(arguments));
  int status = child.finish();
  return {status, child.output};
}

class CliTest : public testing::Test {
 protected:
  CliTest() {
    std::string name = (fs::temp_directory_path() / "twin_cli_XXXXXX").string();
    folder_ = mkdtemp(name.data());
  }
  ~CliTest() override { fs::remove_all(folder_); }

  std::string config(const std::string& link, const std::string& more = "", int port = 0) {
    auto path = folder_ / (link + ".yaml");
    std::ofstream(path) << "source: mongodb://127.0.0.1:1\ntarget: mongodb://127.0.0.1:2\nlink: " << link << "\napi: {listen: \"127.0.0.1:" << port << "\"}\n" << more;
    return path.string();
  }
  std::string file(const std::string& name) const {
    std::ifstream in(folder_ / name);
    return {std::istreambuf_iterator<char>(in), {}};
  }

  fs::path folder_;
};

TEST_F(CliTest, help_is_worth_reading) {
  auto help = call({"--help"});
  EXPECT_EQ(help.status, 0);
  for (const char* word : {"run", "check", "status", "pause", "resume", "finish", "version", "source:", "Exit status", "twin.yaml"})
    EXPECT_NE(help.output.find(word), std::string::npos) << word << "\n" << help.output;
  for (const char* command : {"run", "check", "status", "pause", "resume", "finish"}) {
    auto one = call({command, "--help"});
    EXPECT_EQ(one.status, 0);
    EXPECT_NE(one.output.find("Example"), std::string::npos) << one.output;
  }
}

TEST_F(CliTest, version) {
  auto result = call({"version"});
  EXPECT_EQ(result.status, 0);
  EXPECT_TRUE(std::regex_match(result.output, std::regex("mongotwin [0-9.]+\nlibmongoc [0-9.]+\n"))) << result.output;
}

TEST_F(CliTest, wrong_usage_is_status_2_and_one_line) {
  const std::vector<std::vector<std::string>> wrong{{},
                                                    {"dance"},
                                                    {"run"},
                                                    {"run", "--config"},
                                                    {"run", "-c", "x", "--fast"},
                                                    {"run", "-c", "x", "--log-level", "loud"},
                                                    {"run", "-c", "x", "y"},
                                                    {"status", "--api", "a:1", "--config", "x"},
                                                    {"version", "status"}};
  for (const auto& arguments : wrong) {
    auto result = call(arguments);
    EXPECT_EQ(result.status, 2) << result.output;
    EXPECT_TRUE(std::regex_match(result.output, std::regex("mongotwin: [^\n]+; see mongotwin [a-z]* ?--help\n"))) << result.output;
  }
}

TEST_F(CliTest, an_unknown_command_is_named) {
  EXPECT_EQ(call({"dance"}).output, "mongotwin: there is no command dance; see mongotwin --help\n");
  EXPECT_EQ(call({}).output, "mongotwin: A subcommand is required; see mongotwin --help\n");
}

TEST_F(CliTest, a_password_on_the_command_line_is_not_repeated) {
  for (const auto& arguments : std::vector<std::vector<std::string>>{{"run", "mongodb://u:hunter2/@h"},
                                                                     {"mongodb://u:hunter2/@h"},
                                                                     {"run", "--config", "mongodb://u:hunter2/@h"},
                                                                     {"run", "--source=mongodb://u:hunter2/@h"},
                                                                     {"status", "--api", "mongodb://u:hunter2/@h:1"},
                                                                     {"run", "-c", "x", "--log-level", "mongodb://u:hunter2/@h"}}) {
    auto result = call(arguments);
    EXPECT_NE(result.status, 0);
    EXPECT_EQ(result.output.find("hunter2"), std::string::npos) << result.output;
  }
}

TEST_F(CliTest, what_goes_wrong_is_one_sentence_and_status_1) {
  auto missing = call({"run", "-c", (folder_ / "none.yaml").string()});
  EXPECT_EQ(missing.status, 1);
  EXPECT_EQ(missing.output, "mongotwin: the configuration " + (folder_ / "none.yaml").string() + " can't be read: No such file or directory; name a file that exists and is readable\n");

  auto refused = call({"run", "-c", config("x", "colour: red\n")});
  EXPECT_EQ(refused.status, 1);
  EXPECT_EQ(refused.output.rfind("mongotwin: " + (folder_ / "x.yaml").string() + ":5: unknown key \"colour\"; allowed: link,", 0), 0u) << refused.output;

  auto broken = call({"run", "-c", config("broken")});
  EXPECT_EQ(broken.status, 1);
  EXPECT_NE(broken.output.find("mongotwin: the target mongodb://***@h is not empty; empty it\n"), std::string::npos) << broken.output;

  auto bug = call({"run", "-c", config("bug")});
  EXPECT_EQ(bug.status, 1);
  EXPECT_NE(bug.output.find("mongotwin: unexpected: oops; please report it with the log\n"), std::string::npos) << bug.output;

  auto path = (folder_ / "x.yaml" / "twin.log").string();  // a file is no folder
  auto log_file = call({"run", "-c", config("y", "log: {file: '" + path + "'}\n")});
  EXPECT_EQ(log_file.status, 1);
  EXPECT_EQ(log_file.output.rfind("mongotwin: the log file " + path + " can't be opened", 0), 0u) << log_file.output;
}

TEST_F(CliTest, check_prints_its_lines) {
  auto good = call({"check", "-c", config("fine")});
  EXPECT_EQ(good.status, 0);
  EXPECT_EQ(good.output, "source: fine\ntarget: mongodb://***@h is fine\n");
  auto bad = call({"check", "-c", config("broken")});
  EXPECT_EQ(bad.status, 1);
  EXPECT_EQ(bad.output, "mongotwin: a right is missing; grant it\n");
}

TEST_F(CliTest, nobody_answers) {
  auto result = call({"status", "--api", "127.0.0.1:1"});
  EXPECT_EQ(result.status, 1);
  EXPECT_EQ(result.output.rfind("mongotwin: no mongotwin answers on 127.0.0.1:1 (", 0), 0u) << result.output;
  auto any_port = call({"status", "-c", config("fine")});
  EXPECT_EQ(any_port.status, 1);
  EXPECT_NE(any_port.output.find("leaves the port of the API to the system"), std::string::npos);
  EXPECT_EQ(call({"status", "--api", "nonsense"}).status, 1);
}

TEST_F(CliTest, a_run_is_asked_and_commanded_and_stopped) {
  Child run({"run", "-c", config("fine")});
  auto api = run.api();
  ASSERT_TRUE(run.sees("replicating")) << run.output;

  auto table = call({"status", "--api", api});
  EXPECT_EQ(table.status, 0);
  EXPECT_EQ(table.output.rfind("link        fine\nstate       replicating\n", 0), 0u) << table.output;
  auto json = call({"status", "--json", "--api", api});
  EXPECT_EQ(nlohmann::json::parse(json.output)["state"], "replicating");

  EXPECT_EQ(call({"pause", "--api", api}).output, "pause accepted; state paused\n");
  auto refused = call({"resume", "--api", api});
  EXPECT_EQ(refused.status, 1);
  EXPECT_EQ(refused.output, "mongotwin: it is not paused; nothing to do\n");
  EXPECT_EQ(call({"throttle", "--copy", "off", "--copiers", "2", "--lanes", "0", "--api", api}).output, "throttle accepted; state paused\n");
  auto too_many = call({"throttle", "--lanes", "65", "--api", api});
  EXPECT_EQ(too_many.status, 1);
  EXPECT_NE(too_many.output.find("lanes: \"65\" is out of range; allowed: a whole number from 0 to 64"), std::string::npos) << too_many.output;
  auto finish = call({"finish", "--api", api});
  EXPECT_EQ(finish.status, 0);
  EXPECT_NE(finish.output.find("finished: 0 operations applied"), std::string::npos) << finish.output;
  EXPECT_EQ(call({"finish", "--no-wait", "--api", api}).output, "finish accepted; state finished\n");

  run.send(SIGTERM);
  EXPECT_EQ(run.finish(), 0);
  EXPECT_NE(run.output.find("stopping"), std::string::npos) << run.output;
  EXPECT_EQ(run.output.find("\x1b"), std::string::npos) << "no escape codes where there is no terminal";
}

TEST_F(CliTest, the_config_says_where_it_runs) {
  Child run({"run", "-c", config("fine")});
  auto api = run.api();
  auto path = config("other", "", std::stoi(api.substr(api.find(':') + 1)));
  EXPECT_EQ(call({"status", "-c", path}).status, 0);
  auto second = call({"run", "-c", path});
  EXPECT_EQ(second.status, 1);
  EXPECT_NE(second.output.find("mongotwin: the API can't listen on " + api + ": the address is in use; "), std::string::npos) << second.output;
}

TEST_F(CliTest, a_switch_over_is_followed_to_its_end) {
  Child run({"run", "-c", config("fine")});
  auto api = run.api();
  ASSERT_TRUE(run.sees("replicating"));
  auto dry = call({"switchover", "--dry-run", "--api", api});
  EXPECT_EQ(dry.status, 0);
  EXPECT_EQ(dry.output, "ok       lag: 0.1 s\nwarning  an older cluster; mind it\na switch-over could begin now\n");
  auto done = call({"switchover", "--api", api});
  EXPECT_EQ(done.status, 0);
  EXPECT_NE(done.output.find("note     written past the block\nswitched over: writes were closed for 0.84 s"), std::string::npos) << done.output;
}

TEST_F(CliTest, a_switch_over_that_is_refused_or_given_up_says_why) {
  for (const auto& [link, words] : {std::pair{"behind", "REFUSED  the user lacks a right; grant it\nmongotwin: switch-over refused: the user lacks a right; grant it\n"}, {"fails", "mongotwin: it was given up; "}}) {
    Child run({"run", "-c", config(link)});
    auto api = run.api();
    ASSERT_TRUE(run.sees("replicating"));
    auto answer = call({"switchover", "--api", api});
    EXPECT_EQ(answer.status, 1) << link;
    EXPECT_NE(answer.output.find(words), std::string::npos) << answer.output;
  }
}

TEST_F(CliTest, a_failover_and_a_rejoin_say_what_is_lost) {
  Child run({"run", "-c", config("fine")});
  auto api = run.api();
  ASSERT_TRUE(run.sees("replicating"));
  auto refused = call({"failover", "--api", api});
  EXPECT_EQ(refused.status, 1);
  EXPECT_EQ(refused.output, "mongotwin: failover refused; allow it\n");
  auto done = call({"failover", "--force", "--api", api});
  EXPECT_EQ(done.status, 0);
  EXPECT_EQ(done.output.rfind("what is lost\nfailed over: ", 0), 0u) << done.output;
  EXPECT_EQ(call({"rejoin", "--copy", "--api", api}).output.rfind("what is lost\nthe old source follows: ", 0), 0u);
}

TEST_F(CliTest, without_a_process_failover_does_it_by_itself) {
  auto path = config("alone", "", 1);
  auto refused = call({"failover", "-c", path});
  EXPECT_EQ(refused.status, 1);
  EXPECT_EQ(refused.output, "mongotwin: the source answers; use --force\n");
  EXPECT_EQ(call({"failover", "--force", "-c", path}).output, "applied up to now by alone\n");
  auto nowhere = call({"failover", "--api", "127.0.0.1:1"});
  EXPECT_NE(nowhere.output.find("name the configuration with --config"), std::string::npos) << nowhere.output;
}

TEST_F(CliTest, finish_that_fails_says_why) {
  Child run({"run", "-c", config("fails")});
  auto api = run.api();
  ASSERT_TRUE(run.sees("replicating"));
  auto finish = call({"finish", "--api", api});
  EXPECT_EQ(finish.status, 1);
  EXPECT_NE(finish.output.find("mongotwin: a clash; mend it\n"), std::string::npos) << finish.output;
}

TEST_F(CliTest, verify_tells_by_its_exit_status_what_it_found) {
  struct Case {
    const char *link, *said;
    int status;
  };
  for (auto [link, said, status] : {Case{"fine", "identical up to", 0}, {"differs", "shop.orders _id 7: field total has another value", 3}, {"lost", "could not be done: no history", 1}, {"unready", "can't verify while copying; wait", 1}}) {
    Child run({"run", "-c", config(link)});
    auto api = run.api();
    auto verify = call({"verify", "--api", api});
    EXPECT_EQ(verify.status, status) << link;
    EXPECT_NE(verify.output.find(said), std::string::npos) << verify.output;
  }
}

TEST_F(CliTest, finish_verifies_first_if_it_is_asked_to) {
  for (auto [link, status, state] : {std::tuple{"fine", 0, "finished"}, {"differs", 3, "replicating"}, {"lost", 1, "replicating"}}) {
    Child run({"run", "-c", config(link)});
    auto api = run.api();
    ASSERT_TRUE(run.sees("replicating"));
    auto finish = call({"finish", "--verify", "--api", api});
    EXPECT_EQ(finish.status, status) << finish.output;
    EXPECT_NE(call({"status", "--api", api}).output.find(state), std::string::npos) << link;
  }
}

TEST_F(CliTest, verify_without_a_replication_needs_the_configuration) {
  auto alone = call({"verify", "-c", config("fine")});
  EXPECT_EQ(alone.status, 1) << "port 0 says nothing of where it runs";
  EXPECT_EQ(call({"verify", "--api", "127.0.0.1:1"}).status, 1);
  EXPECT_EQ(call({"verify", "--mode", "all"}).status, 2);
}

TEST_F(CliTest, every_stop_signal_stops) {
  for (int signal : {SIGINT, SIGTERM, SIGHUP}) {
    Child run({"run", "-c", config("fine")});
    ASSERT_TRUE(run.sees("replicating"));
    run.send(SIGPIPE);  // ignored
    run.send(signal);
    EXPECT_EQ(run.finish(), 0) << signal;
  }
}

TEST_F(CliTest, two_signals_of_one_keystroke_are_one) {
  Child run({"run", "-c", config("fine")});
  ASSERT_TRUE(run.sees("replicating"));
  run.send(SIGINT);
  run.send(SIGTERM);
  EXPECT_EQ(run.finish(), 0);
}

TEST_F(CliTest, a_second_signal_ends_it_at_once) {
  Child run({"run", "-c", config("stuck")});
  ASSERT_TRUE(run.sees("replicating"));
  run.send(SIGINT);
  ASSERT_TRUE(run.sees("stopping"));
  std::this_thread::sleep_for(std::chrono::milliseconds(600));
  run.send(SIGINT);
  EXPECT_EQ(run.finish(), 1);
  EXPECT_NE(run.output.find("mongotwin: ended at once by a second signal"), std::string::npos) << run.output;
}

TEST_F(CliTest, an_engine_that_returns_by_itself_ends_the_run) { EXPECT_EQ(call({"run", "-c", config("short")}).status, 0); }

TEST_F(CliTest, on_a_terminal_lines_are_redrawn_and_the_log_goes_to_its_file) {
  Child run({"run", "-c", config("fine", "log: {file: '" + (folder_ / "twin.log").string() + "'}\n")}, true);
  ASSERT_TRUE(run.sees("fine        replicating")) << run.output;
  ASSERT_TRUE(run.sees("A\rfine        replicating")) << run.output;
  run.send(SIGINT);
  EXPECT_EQ(run.finish(), 0);
  EXPECT_NE(run.output.find("stopping; a second signal ends it at once"), std::string::npos) << run.output;
  EXPECT_NE(file("twin.log").find("SIGINT received"), std::string::npos) << file("twin.log");
  EXPECT_EQ(run.output.find("SIGINT received"), std::string::npos);
}

TEST_F(CliTest, the_error_stands_below_the_last_picture_and_in_the_log_file) {
  Child run({"run", "-c", config("broken", "log: {file: '" + (folder_ / "twin.log").string() + "'}\n")}, true);
  EXPECT_EQ(run.finish(), 1);
  auto end = std::string("mongotwin: the target mongodb://***@h is not empty; empty it\r\n");
  ASSERT_GE(run.output.size(), end.size());
  EXPECT_EQ(run.output.substr(run.output.size() - end.size()), end) << run.output;
  EXPECT_NE(file("twin.log").find("is not empty"), std::string::npos);
}

TEST_F(CliTest, without_progress_a_terminal_gets_log_lines) {
  Child run({"run", "--no-progress", "--log-level", "debug", "-c", config("fine")}, true);
  ASSERT_TRUE(run.sees("progress   replicating; lag unknown")) << run.output;
  EXPECT_EQ(run.output.find("\x1b"), std::string::npos);
  run.send(SIGTERM);
  EXPECT_EQ(run.finish(), 0);
}

}  // namespace
}  // namespace mongotwin::cli
