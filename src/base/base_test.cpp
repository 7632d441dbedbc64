// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include <atomic>
#include <future>

#include "base/bounded_queue.h"
#include "base/byte_budget.h"
#include "base/gate.h"
#include "base/log.h"
#include "base/rate_meter.h"
#include "base/worker.h"

namespace mongotwin {
namespace {

using std::chrono::milliseconds;

// ---- BoundedQueue

TEST(BoundedQueueTest, GivesBackInOrder) {
  BoundedQueue<int> queue(3, 100, nullptr, nullptr);
  for (int n : {1, 2, 3}) ASSERT_TRUE(queue.try_push(n, 1));
  for (int n : {1, 2, 3}) EXPECT_EQ(queue.try_pop(), n);
  EXPECT_FALSE(queue.try_pop());
}

TEST(BoundedQueueTest, RefusesByItemsAndByBytesAndLeavesTheItemToTheCaller) {
  BoundedQueue<std::string> queue(2, 10, nullptr, nullptr);
  std::string a = "a", b = "b", c = "c";
  ASSERT_TRUE(queue.try_push(a, 6));
  EXPECT_FALSE(queue.try_push(b, 5));
  EXPECT_EQ(b, "b");
  ASSERT_TRUE(queue.try_push(b, 4));
  EXPECT_FALSE(queue.try_push(c, 0)) << "two items are the limit";
  (void)queue.try_pop();
  EXPECT_EQ(queue.bytes(), 4u);
  EXPECT_TRUE(queue.try_push(c, 6));
}

TEST(BoundedQueueTest, EmptyQueueTakesOneItemAboveTheLimit) {
  BoundedQueue<int> queue(2, 10, nullptr, nullptr);
  int big = 1, small = 2;
  EXPECT_TRUE(queue.try_push(big, 1000));
  EXPECT_FALSE(queue.try_push(small, 1));
}

TEST(BoundedQueueTest, WakesConsumerAndProducer) {
  Signal pushed, popped;
  BoundedQueue<int> queue(1, 10, &pushed, &popped);
  int item = 1;
  ASSERT_TRUE(queue.try_push(item, 1));
  auto raised = [](Signal& s) {
    auto before = std::chrono::steady_clock::now();
    s.wait({}, milliseconds(2000));
    return std::chrono::steady_clock::now() - before < milliseconds(1500);
  };
  EXPECT_TRUE(raised(pushed));
  (void)queue.try_pop();
  EXPECT_TRUE(raised(popped));
}

// ---- Gate

// Without waiting: the stop is there already.
std::optional<Gate::Pass> try_enter(Gate& gate, std::uint64_t weight = 1) {
  std::stop_source stop;
  stop.request_stop();
  return gate.enter(stop.get_token(), weight);
}

TEST(GateTest, LetsInAsManyAsItsLimit) {
  Gate gate(2);
  auto a = try_enter(gate), b = try_enter(gate);
  ASSERT_TRUE(a && b);
  EXPECT_FALSE(try_enter(gate));
  a.reset();
  EXPECT_TRUE(try_enter(gate));
}

TEST(GateTest, ALowerLimitHoldsForThoseWhoComeThenAndAt0NobodyEnters) {
  Gate gate(2);
  auto a = try_enter(gate), b = try_enter(gate);
  gate.set(1);
  a.reset();
  EXPECT_FALSE(try_enter(gate));
  b.reset();
  EXPECT_TRUE(try_enter(gate));
  gate.set(0);
  EXPECT_FALSE(try_enter(gate));
}

TEST(GateTest, WhatIsHeavierThanTheLimitGoesAlone) {
  Gate gate(10);
  auto light = try_enter(gate, 1);
  EXPECT_FALSE(try_enter(gate, 100));
  light.reset();
  auto heavy = try_enter(gate, 100);
  ASSERT_TRUE(heavy);
  EXPECT_FALSE(try_enter(gate, 1));
}

TEST(GateTest, WhoWaitsIsWokenByRoomByAHigherLimitAndByAStop) {
  Gate gate(1);
  auto ask = [&](std::stop_token stop) { return std::async(std::launch::async, [&gate, stop] { return gate.enter(stop).has_value(); }); };
  auto taken = try_enter(gate);
  auto first = ask({});
  taken.reset();
  EXPECT_TRUE(first.get());
  gate.set(0);
  auto second = ask({});
  gate.set(1);
  EXPECT_TRUE(second.get());
  gate.set(0);
  std::stop_source stop;
  auto third = ask(stop.get_token());
  stop.request_stop();
  EXPECT_FALSE(third.get());
}

// ---- Worker

TEST(WorkerTest, RunsAgainAtOnceAfterProgressAndEndsWhenDone) {
  Signal signal;
  std::atomic<int> steps{0};
  Worker worker("test", signal, std::chrono::hours(1), [&](std::stop_token) { return ++steps < 5 ? Step::progress : Step::done; }, [](std::exception_ptr) {});
  worker.join();
  EXPECT_EQ(steps, 5);
}

TEST(WorkerTest, NotificationBeforeTheWaitIsNotLost) {
  Signal signal;
  std::promise<void> second;
  std::atomic<int> steps{0};
  Worker worker("test", signal, std::chrono::hours(1),
                [&](std::stop_token) {
                  if (++steps == 1) signal.notify();
                  if (steps == 2) second.set_value();
                  return Step::idle;
                },
                [](std::exception_ptr) {});
  EXPECT_EQ(second.get_future().wait_for(std::chrono::seconds(10)), std::future_status::ready);
}

TEST(WorkerTest, StopRequestEndsAnIdleWorkerAtOnce) {
  Signal signal;
  auto before = std::chrono::steady_clock::now();
  { Worker worker("test", signal, std::chrono::hours(1), [](std::stop_token) { return Step::idle; }, [](std::exception_ptr) {}); }
  EXPECT_LT(std::chrono::steady_clock::now() - before, std::chrono::seconds(10));
}

TEST(WorkerTest, ExceptionEndsItAndIsToldOnce) {
  Signal signal;
  std::atomic<int> told{0};
  std::string what;
  Worker worker("test", signal, milliseconds(1), [](std::stop_token) -> Step { throw std::runtime_error("broken"); },
                [&](std::exception_ptr e) {
                  ++told;
                  try {
                    std::rethrow_exception(e);
                  } catch (const std::exception& x) {
                    what = x.what();
                  }
                });
  worker.join();
  EXPECT_EQ(told, 1);
  EXPECT_EQ(what, "broken");
}

TEST(SleepTest, EndsEarlyOnAStopRequestAndSaysSo) {
  std::stop_source stop;
  EXPECT_TRUE(sleep_for(stop.get_token(), milliseconds(1)));
  stop.request_stop();
  EXPECT_FALSE(sleep_for(stop.get_token(), std::chrono::hours(1)));
}

// ---- ByteBudget

TEST(ByteBudgetTest, OneMoreThanFitsWaitsUntilAnotherIsGivenBack) {
  ByteBudget budget(100);
  auto first = budget.take(60, {});
  std::atomic<bool> got{false};
  std::jthread other([&](std::stop_token stop) {
    auto second = budget.take(50, stop);
    got = true;
  });
  EXPECT_FALSE(got);
  first.resize(50);
  other.join();
  EXPECT_TRUE(got);
}

TEST(ByteBudgetTest, OneLargerThanAllGetsInAlone) {
  ByteBudget budget(100);
  { auto large = budget.take(1000, {}); }
  std::stop_source stop;
  auto held = budget.take(100, {});
  std::jthread waiting([&] { (void)budget.take(1, stop.get_token()); });
  stop.request_stop();
}

// ---- RateMeter

TEST(RateMeterTest, LooksBackAsFarAsItsWindowAndBeginsAnewWhenTheCountFallsBack) {
  RateMeter meter(std::chrono::seconds(10));
  Clock::Steady t{};
  std::uint64_t count = 0;
  EXPECT_EQ(meter.update(count, t), 0);
  double rate = 0;
  for (int s = 1; s <= 20; ++s) {
    count += s <= 10 ? 1000 : 100;
    rate = meter.update(count, t + std::chrono::seconds(s));
    EXPECT_TRUE(s > 10 || (rate > 999 && rate < 1001)) << rate;
  }
  EXPECT_NEAR(rate, 100, 1);
  EXPECT_EQ(meter.update(5, t + std::chrono::seconds(21)), 0);
  EXPECT_NEAR(meter.update(25, t + std::chrono::seconds(22)), 20, 0.1);
}

// ---- redact

TEST(RedactTest, UserPartIsBlankedWhereverAUriStands) {
  EXPECT_EQ(redact("mongodb://u:p@h:1/db"), "mongodb://***@h:1/db");
  EXPECT_EQ(redact("from mongodb+srv://u:p@h/ to 'mongodb://v:q@i/'."), "from mongodb+srv://***@h/ to 'mongodb://***@i/'.");
}

TEST(RedactTest, TextWithoutASecretStaysAsItIs) {
  for (const char* text : {"mongodb://h:1,i:2/?replicaSet=x", "no uri at all", "mongodb is at http://docs/a@b", ""}) EXPECT_EQ(redact(text), text);
}

TEST(RedactTest, UnescapedCharactersInAPasswordDoNotUncoverIt) {
  for (const char* password : {"p@ss", "p:ss", "p/ss", "p%ss", "p?ss", "p'ss", "p\"ss", "@@//"}) {
    auto text = redact(std::string("connecting to mongodb://user:") + password + "@host:1/db now");
    EXPECT_EQ(text, "connecting to mongodb://***@host:1/db now") << password;
  }
}

TEST(RedactTest, SecretsAmongTheOptionsAreBlanked) {
  EXPECT_EQ(redact("mongodb://h/?tlsCertificateKeyFilePassword=geheim&tls=true"), "mongodb://h/?tlsCertificateKeyFilePassword=***&tls=true");
}

}  // namespace
}  // namespace mongotwin
