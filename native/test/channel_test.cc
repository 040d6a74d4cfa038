// Channels: order, limits, ends, many at once, and death at every single step: nothing lost, nothing torn,
// nothing twice but what a dead taker had not settled.
#include "core/channel.h"

#include <cstring>
#include <map>
#include <random>
#include <thread>
#include <vector>

#include "test/check.h"

using namespace multiproc;

namespace {

/// A record that carries a number, followed by as many bytes that depend on it as `length` asks for.
std::vector<char> record(uint32_t number, uint32_t length) {
  std::vector<char> bytes(record_bytes(length));
  Record head{length, 1};
  memcpy(bytes.data(), &head, sizeof head);
  for (uint32_t i = 0; i < length; i++) bytes[sizeof head + i] = static_cast<char>(number + i);
  memcpy(bytes.data() + sizeof head, &number, sizeof number);
  return bytes;
}
/// The number of a record at `at`, having checked every byte; `*size`: of the whole record.
uint32_t number_of(const char* at, size_t* size) {
  Record head;
  uint32_t number;
  memcpy(&head, at, sizeof head);
  memcpy(&number, at + sizeof head, sizeof number);
  for (uint32_t i = sizeof number; i < head.length; i++)
    CHECK(at[sizeof head + i] == static_cast<char>(number + i));
  *size = record_bytes(head.length);
  return number;
}
uint32_t length_of(uint32_t number) { return number % 97 == 0 ? kMaxInline : 4 + number * 7 % 300; }

Outcome put(Actor& actor, Offset channel, uint32_t number, int64_t timeout = -1) {
  std::vector<char> bytes = record(number, length_of(number));
  for (;;) {
    size_t done;
    uint32_t seen;
    Outcome outcome = channel_put(actor, channel, bytes.data(), bytes.size(), &done, &seen);
    if (outcome != Outcome::kWait) return outcome;
    outcome = channel_wait(actor, channel, Waits::kRoom, seen, timeout);
    if (outcome != Outcome::kDone) return outcome;
  }
}
Outcome put_message(Actor& actor, Offset channel, uint32_t number) {
  Block message = message_create(actor, 4, 7);
  memcpy(actor.root.at(message.offset + sizeof(Message), 4), &number, 4);
  for (;;) {
    uint32_t seen;
    Outcome outcome = channel_put_message(actor, channel, message.offset, &seen);
    if (outcome != Outcome::kWait) return outcome;
    channel_wait(actor, channel, Waits::kRoom, seen, -1);
  }
}
/// One message, of whichever form; a message of its own is settled and dropped.
Outcome take(Actor& actor, Offset channel, uint32_t* number, int64_t timeout = -1) {
  static thread_local std::vector<char> into(kMaxInline + 64);
  for (;;) {
    Taken taken;
    uint32_t seen;
    Outcome outcome = channel_take(actor, channel, into.data(), into.size(), 1, &taken, &seen);
    if (outcome == Outcome::kDone) {
      size_t size;
      if (taken.message == 0) {
        *number = number_of(into.data(), &size);
        CHECK(size == taken.bytes && taken.records == 1);
        channel_commit(actor, channel, 1);
      } else {
        CHECK(taken.what == 7 && taken.message_bytes == 4);
        memcpy(number, actor.root.at(taken.message + sizeof(Message), 4), 4);
        message_settle(actor, taken.message);
        heap_drop(actor, slot_of(actor.me), taken.message);
      }
      return outcome;
    }
    if (outcome != Outcome::kWait) return outcome;
    outcome = channel_wait(actor, channel, Waits::kMessage, seen, timeout);
    if (outcome != Outcome::kDone) return outcome;
  }
}

void messages_come_in_order_through_growing_and_reused_chunks() {
  Member member(Root::create());
  Actor actor = member.actor();
  Block channel = channel_create(actor, {0, 0});
  uint32_t put_so_far = 0, taken_so_far = 0, number;
  std::mt19937 random(1);
  for (int round = 0; round < 300; round++) {
    for (uint32_t n = random() % 60; n > 0; n--, put_so_far++)
      CHECK((put_so_far % 13 == 0 ? put_message(actor, channel.offset, put_so_far)
                                  : put(actor, channel.offset, put_so_far)) == Outcome::kDone);
    CHECK(channel_counts(actor.root, channel.offset).messages == put_so_far - taken_so_far);
    for (uint32_t n = random() % 60; n > 0 && taken_so_far < put_so_far; n--) {
      CHECK(take(actor, channel.offset, &number, 0) == Outcome::kDone);
      CHECK(number == taken_so_far++);
    }
  }
  while (taken_so_far < put_so_far) {
    CHECK(take(actor, channel.offset, &number, 0) == Outcome::kDone);
    CHECK(number == taken_so_far++);
  }
  CHECK(take(actor, channel.offset, &number, 0) == Outcome::kTimedOut);
  CHECK(channel_counts(actor.root, channel.offset).bytes == 0);
  CHECK(heap_check(actor) == "");
  CHECK(heap_drop(actor, slot_of(actor.me), channel.offset));
  CHECK(heap_stats(actor).blocks == 0);
}

void limits_shut_down_and_tasks() {
  Member member(Root::create());
  Actor actor = member.actor();
  Block channel = channel_create(actor, {2, 0});
  uint32_t number;
  CHECK(put(actor, channel.offset, 1) == Outcome::kDone);
  CHECK(put(actor, channel.offset, 2) == Outcome::kDone);
  CHECK(put(actor, channel.offset, 3, 0) == Outcome::kTimedOut);
  CHECK(take(actor, channel.offset, &number) == Outcome::kDone && number == 1);
  CHECK(channel_counts(actor.root, channel.offset).unfinished == 2);
  CHECK(channel_task_done(actor, channel.offset) && channel_task_done(actor, channel.offset));
  CHECK(!channel_task_done(actor, channel.offset));
  CHECK(put(actor, channel.offset, 3) == Outcome::kDone);
  channel_shut_down(actor, channel.offset, false);
  CHECK(put(actor, channel.offset, 4) == Outcome::kShutDown);
  CHECK(take(actor, channel.offset, &number) == Outcome::kDone && number == 2);
  channel_shut_down(actor, channel.offset, true);
  CHECK(take(actor, channel.offset, &number) == Outcome::kShutDown);
  CHECK(channel_counts(actor.root, channel.offset).messages == 0);
  CHECK(channel_counts(actor.root, channel.offset).unfinished == 0);
  // A limit in bytes lets one message of any length through.
  Block narrow = channel_create(actor, {0, 64});
  CHECK(put(actor, narrow.offset, 97) == Outcome::kDone);
  CHECK(put(actor, narrow.offset, 1, 0) == Outcome::kTimedOut);
}

void the_last_holder_of_an_end_ends_the_other_one() {
  Member member(Root::create());
  Actor actor = member.actor();
  uint32_t number;
  Pipe pipe = pipe_create(actor, true, 0);
  const Offset forth = actor.root.ref<End>(pipe.first.offset).reads,
               back = actor.root.ref<End>(pipe.first.offset).writes;
  CHECK(put(actor, forth, 5) == Outcome::kDone);
  // A message in the channel holds the pipe's second end; so does a child, which is killed.
  Block message = message_create(actor, 0, 1);
  heap_put_into(actor, message.offset, pipe.second.offset);
  uint32_t seen;
  CHECK(channel_put_message(actor, back, message.offset, &seen) == Outcome::kDone);
  pid_t pid = in_child(member.host->root(), [&](Member& child) {
    Actor mine = child.actor();
    heap_hold(mine, slot_of(mine.me), pipe.second.offset, pipe.second.generation);
    kill_self();
  });
  CHECK(wait_for(pid) == -SIGKILL);
  heap_drop(actor, slot_of(actor.me), pipe.second.offset);
  CHECK(take(actor, forth, &number) == Outcome::kDone && number == 5);
  CHECK(take(actor, forth, &number, 0) == Outcome::kTimedOut);  // the message holds it still
  Taken taken;
  CHECK(channel_take(actor, back, nullptr, 0, 1, &taken, &seen) == Outcome::kDone);
  heap_drop(actor, slot_of(actor.me), taken.message);
  CHECK(take(actor, forth, &number) == Outcome::kEnded);
  CHECK(put(actor, back, 1) == Outcome::kEnded);
  heap_drop(actor, slot_of(actor.me), pipe.first.offset);
  eventually("all is gone", [&] { return heap_stats(actor).blocks == 0; });
  CHECK(heap_check(actor) == "");
}

void many_threads_put_and_take() {
  constexpr uint32_t kThreads = 3, kEach = 3000;
  Member parent(Root::create());
  Actor actor = parent.actor();
  Block channel = channel_create(actor, {0, 20000});
  std::vector<std::thread> threads;
  std::vector<std::vector<uint32_t>> got(kThreads);
  for (uint32_t t = 0; t < kThreads; t++) {
    threads.emplace_back([&, t] {
      auto environment = parent.host->enter(t + 1);
      Actor mine = environment->actor();
      for (uint32_t i = 0; i < kEach; i++) {
        uint32_t number = t * kEach + i;
        CHECK((i % 50 == 0 ? put_message(mine, channel.offset, number) : put(mine, channel.offset, number)) ==
              Outcome::kDone);
      }
    });
    threads.emplace_back([&, t] {
      auto environment = parent.host->enter(t + 100);
      Actor mine = environment->actor();
      uint32_t number;
      while (take(mine, channel.offset, &number) == Outcome::kDone) got[t].push_back(number);
    });
  }
  for (uint32_t t = 0; t < kThreads; t++) threads[t * 2].join();
  channel_shut_down(actor, channel.offset, false);
  for (uint32_t t = 0; t < kThreads; t++) threads[t * 2 + 1].join();
  std::vector<char> seen(kThreads * kEach);
  for (auto& numbers : got) {
    std::vector<uint32_t> last(kThreads, 0);
    for (uint32_t n : numbers) {
      CHECK(!seen[n]++);
      CHECK(n + 1 > last[n / kEach]);  // in the order of each producer
      last[n / kEach] = n + 1;
    }
  }
  for (char s : seen) CHECK(s == 1);
  CHECK(heap_check(actor) == "");
}

/// The numbers that are left, once all is in order.
std::vector<uint32_t> rest(Actor& actor, Offset channel) {
  std::vector<uint32_t> numbers;
  uint32_t number;
  while (take(actor, channel, &number, 0) == Outcome::kDone) numbers.push_back(number);
  return numbers;
}

void a_writer_killed_at_every_step_leaves_each_message_whole_or_not_at_all() {
  Member parent(Root::create());
  Actor actor = parent.actor();
  int deaths = 0;
  for (int64_t step = 1;; step++) {
    Block channel = channel_create(actor, {0, 0});
    Block told = heap_allocate(actor, slot_of(actor.me), 4, Kind::kData);  // how many puts have returned
    pid_t pid = in_child(parent.host->root(), [&](Member& member) {
      Actor mine = member.actor();
      heap_hold(mine, slot_of(mine.me), channel.offset, channel.generation);
      crash_action = kill_self;
      crash_countdown = step;
      for (uint32_t i = 1; i <= 24; i++) {
        CHECK((i % 5 == 0 ? put_message(mine, channel.offset, i) : put(mine, channel.offset, i * 4)) ==
              Outcome::kDone);
        mine.root.ref<Word>(told.offset).store(i);
      }
      crash_action = nullptr;
    });
    int result = wait_for(pid);
    CHECK(put(actor, channel.offset, 1000) == Outcome::kDone);
    std::vector<uint32_t> numbers = rest(actor, channel.offset);
    const uint32_t returned = actor.root.ref<Word>(told.offset).load();
    CHECK(numbers.size() == returned + 1 ||
          numbers.size() == returned + 2);  // the one under way may be there
    for (uint32_t i = 0; i + 1 < numbers.size(); i++)
      CHECK(numbers[i] == ((i + 1) % 5 == 0 ? i + 1 : (i + 1) * 4));
    CHECK(numbers.back() == 1000);
    heap_drop(actor, slot_of(actor.me), channel.offset);
    heap_drop(actor, slot_of(actor.me), told.offset);
    eventually("nothing is left", [&] { return heap_stats(actor).blocks == 0; });
    CHECK(heap_check(actor) == "");
    if (result == 0) break;
    CHECK(result == -SIGKILL);
    deaths++;
    if (step > 80) step += 8;
  }
  printf("    %d deaths\n", deaths);
  CHECK(deaths > 100);
}

void a_reader_killed_at_every_step_loses_nothing() {
  Member parent(Root::create());
  Actor actor = parent.actor();
  int deaths = 0, again = 0;
  for (int64_t step = 1;; step++) {
    Block channel = channel_create(actor, {0, 0});
    Block told = heap_allocate(actor, slot_of(actor.me), 4, Kind::kData);
    constexpr uint32_t kAll = 60;
    for (uint32_t i = 1; i <= kAll; i++)
      CHECK((i % 5 == 0 ? put_message(actor, channel.offset, i) : put(actor, channel.offset, i)) ==
            Outcome::kDone);
    pid_t pid = in_child(parent.host->root(), [&](Member& member) {
      Actor mine = member.actor();
      heap_hold(mine, slot_of(mine.me), channel.offset, channel.generation);
      uint32_t number;
      crash_action = kill_self;
      crash_countdown = step;
      for (uint32_t i = 1; i <= kAll; i++) {
        CHECK(take(mine, channel.offset, &number) == Outcome::kDone);
        CHECK(number == i);
        mine.root.ref<Word>(told.offset).store(i);
      }
      crash_action = nullptr;
    });
    int result = wait_for(pid);
    const uint32_t returned = actor.root.ref<Word>(told.offset).load();
    // A message that was taken, and not settled, comes back by the reaper.
    std::vector<uint32_t> numbers;
    eventually("the dead reader's slot is free",
               [&] { return heap_stats(actor).holds == heap_stats(actor).blocks; });
    numbers = rest(actor, channel.offset);
    // All that did not return is there, but perhaps the one under way if its taker had settled it.
    std::map<uint32_t, int> left;
    for (uint32_t n : numbers) left[n]++;
    for (uint32_t i = 1; i <= kAll; i++)
      CHECK(left[i] == (i > returned ? 1 : 0) || (i == returned + 1 && left[i] == 0));
    if (returned < kAll && left[returned + 1] == 1) again++;
    heap_drop(actor, slot_of(actor.me), channel.offset);
    heap_drop(actor, slot_of(actor.me), told.offset);
    eventually("nothing is left", [&] { return heap_stats(actor).blocks == 0; });
    CHECK(heap_check(actor) == "");
    if (result == 0) break;
    CHECK(result == -SIGKILL);
    deaths++;
    if (step > 200) step += 5;
  }
  printf("    %d deaths, %d with the message under way still there\n", deaths, again);
  CHECK(deaths > 100 && again > 20);
}

}  // namespace

int main() {
  signal(SIGPIPE, SIG_IGN);
  RUN(messages_come_in_order_through_growing_and_reused_chunks);
  RUN(limits_shut_down_and_tasks);
  RUN(many_threads_put_and_take);
#ifndef __SANITIZE_THREAD__  // TSan cannot follow threads started after a fork of a process with threads
  RUN(the_last_holder_of_an_end_ends_the_other_one);
  RUN(a_writer_killed_at_every_step_leaves_each_message_whole_or_not_at_all);
  RUN(a_reader_killed_at_every_step_loses_nothing);
#endif
}
