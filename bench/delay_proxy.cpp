// SPDX-License-Identifier: Apache-2.0
// A TCP proxy on loopback that puts a distance between two programs: each byte leaves half a round trip after it came, in
// order, and as many as come may be under way. One thread; costs a few percent of a core at the speeds of the benchmark.
//   delay_proxy LISTEN_PORT TARGET_PORT
// Prints "listening", then takes the round-trip time in ms from each line of its input, for what arrives from then on
// (0 at the beginning); ends with its input. Connections are made at once: only what they carry is delayed.
#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <deque>
#include <list>
#include <optional>
#include <string>
#include <vector>

namespace {

using Clock = std::chrono::steady_clock;

constexpr std::size_t kReadBytes = 256u << 10;
constexpr std::size_t kUnderWayMax = 64u << 20;  // of one direction of a connection: 1 GB/s at 120 ms

[[noreturn]] void fail(const char* what) {
  std::perror(what);
  std::exit(1);
}

sockaddr_in loopback(int port) {
  sockaddr_in a{};
  a.sin_family = AF_INET;
  a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  a.sin_port = htons(static_cast<std::uint16_t>(port));
  return a;
}

void prepare(int fd) {
  int one = 1;
  setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
  fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK);
}

struct Piece {
  Clock::time_point due;
  std::vector<char> bytes;
  std::size_t sent = 0;
};

// What one side said and the other has not got yet.
struct Direction {
  std::deque<Piece> under_way;
  std::size_t bytes = 0;
  bool ended = false;    // nothing more comes
  bool blocked = false;  // the receiver's socket is full
};

struct Connection {
  int fd[2];
  Direction from[2];
  bool broken = false;
};

bool would_block() { return errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR; }

void read_from(Connection& c, int side, Clock::duration delay) {
  auto& d = c.from[side];
  static char buffer[kReadBytes];
  auto n = ::read(c.fd[side], buffer, sizeof buffer);
  if (n < 0) {
    c.broken |= !would_block();
    return;
  }
  if (n == 0) {
    d.ended = true;
    return;
  }
  d.bytes += static_cast<std::size_t>(n);
  d.under_way.push_back({Clock::now() + delay, {buffer, buffer + n}});
}

void write_from(Connection& c, int side) {
  auto& d = c.from[side];
  d.blocked = false;
  while (!d.under_way.empty() && d.under_way.front().due <= Clock::now()) {
    auto& piece = d.under_way.front();
    auto n = ::send(c.fd[1 - side], piece.bytes.data() + piece.sent, piece.bytes.size() - piece.sent, MSG_NOSIGNAL);
    if (n < 0) {
      d.blocked = would_block();
      c.broken |= !d.blocked;
      return;
    }
    piece.sent += static_cast<std::size_t>(n);
    d.bytes -= static_cast<std::size_t>(n);
    if (piece.sent == piece.bytes.size()) d.under_way.pop_front();
  }
  if (d.ended && d.under_way.empty()) c.broken = true;
}

class Proxy {
 public:
  Proxy(int listen_port, int target_port) : target_(loopback(target_port)), listener_(::socket(AF_INET, SOCK_STREAM, 0)) {
    int one = 1;
    setsockopt(listener_, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    auto address = loopback(listen_port);
    if (bind(listener_, reinterpret_cast<sockaddr*>(&address), sizeof address) != 0 || listen(listener_, 256) != 0) fail("delay_proxy: listen");
    fcntl(listener_, F_SETFL, O_NONBLOCK);
  }

  // Until the input ends.
  void run() {
    for (;;) {
      wait();
      if (fds_[0].revents && !read_delay()) return;
      if (fds_[1].revents) accept_one();
      std::size_t n = 2;
      for (auto& c : connections_) {
        if (n == fds_.size()) break;  // the one accepted just now
        for (int side : {0, 1}) {
          auto events = fds_[n++].revents;
          if (events & POLLERR) c.broken = true;
          else if (events & (POLLIN | POLLHUP) && !c.from[side].ended) read_from(c, side, delay_);
        }
        for (int side : {0, 1}) write_from(c, side);
      }
      std::erase_if(connections_, [](const Connection& c) {
        if (c.broken)
          for (int fd : c.fd) ::close(fd);
        return c.broken;
      });
    }
  }

 private:
  void wait() {
    fds_ = {{STDIN_FILENO, POLLIN, 0}, {listener_, POLLIN, 0}};
    std::optional<Clock::time_point> next;
    for (const auto& c : connections_)
      for (int side : {0, 1}) {
        const auto& in = c.from[side];
        const auto& out = c.from[1 - side];
        short events = 0;
        if (!in.ended && in.bytes < kUnderWayMax) events |= POLLIN;
        if (out.blocked) events |= POLLOUT;
        fds_.push_back({events ? c.fd[side] : -1, events, 0});
        if (!in.blocked && !in.under_way.empty() && (!next || in.under_way.front().due < *next)) next = in.under_way.front().due;
      }
    timespec timeout{};
    if (next) {
      auto left = std::max(Clock::duration::zero(), std::chrono::duration_cast<Clock::duration>(*next - Clock::now()));
      timeout.tv_sec = std::chrono::duration_cast<std::chrono::seconds>(left).count();
      timeout.tv_nsec = (left % std::chrono::seconds(1)).count();
    }
    if (ppoll(fds_.data(), fds_.size(), next ? &timeout : nullptr, nullptr) < 0 && errno != EINTR) fail("delay_proxy: poll");
  }

  bool read_delay() {
    char text[64];
    auto n = ::read(STDIN_FILENO, text, sizeof text - 1);
    if (n <= 0) return false;
    text[n] = 0;
    delay_ = std::chrono::duration_cast<Clock::duration>(std::chrono::duration<double, std::milli>(std::atof(text) / 2));
    return true;
  }

  void accept_one() {
    int near = ::accept(listener_, nullptr, nullptr);
    if (near < 0) return;
    int far = ::socket(AF_INET, SOCK_STREAM, 0);
    if (::connect(far, reinterpret_cast<const sockaddr*>(&target_), sizeof target_) != 0) {  // the server is down: so is this one
      ::close(far);
      ::close(near);
      return;
    }
    for (int fd : {near, far}) prepare(fd);
    connections_.push_back({{near, far}, {}, false});
  }

  const sockaddr_in target_;
  const int listener_;
  Clock::duration delay_{};
  std::list<Connection> connections_;
  std::vector<pollfd> fds_;
};

}  // namespace

int main(int argc, char** argv) {
  if (argc != 3) {
    std::fputs("usage: delay_proxy LISTEN_PORT TARGET_PORT\n", stderr);
    return 2;
  }
  Proxy proxy(std::atoi(argv[1]), std::atoi(argv[2]));
  std::puts("listening");
  std::fflush(stdout);
  proxy.run();
}
