// The robust lock: exclusion, time-outs, interruption, fairness, and the death of holders and waiters.
#include <random>
#include <thread>
#include <vector>

#include "test/check.h"

using namespace multiproc;

namespace {

#ifdef __SANITIZE_THREAD__  // TSan cannot follow threads started after a fork of a process with threads
constexpr int kProcesses = 0;
#else
constexpr int kProcesses = 2;
#endif

struct Shared {
  LockCell cell;
  std::atomic<uint64_t> counter;
  uint64_t half;  ///< counter / 2, when nobody is in the critical section
  std::atomic<uint32_t> ready;
  std::atomic<uint64_t> by[16];
};

Block shared_block(Member& member) {
  Actor actor = member.actor();
  return heap_allocate(actor, member.environment->slot(), sizeof(Shared), Kind::kLock);
}
Shared& shared_of(Member& member, const Block& block) {
  return member.host->root().ref<Shared>(block.offset);
}

void threads_and_processes_exclude_each_other() {
  Member parent(Root::create());
  Block block = shared_block(parent);
  Shared& shared = shared_of(parent, block);
  constexpr int kRounds = 20000;
  auto work = [&](Environment& e) {
    Actor actor = e.actor();
    Shared& s = e.root().ref<Shared>(block.offset);
    for (int i = 0; i < kRounds; i++) {
      CHECK(lock_acquire(actor, block.offset, -1) == Acquired::kYes);
      uint64_t seen = s.counter.load(std::memory_order_relaxed);
      CHECK(s.half * 2 == seen);
      s.counter.store(seen + 2, std::memory_order_relaxed);
      s.half++;
      CHECK(lock_release(actor, block.offset, actor.me));
    }
  };
  std::vector<pid_t> pids;
  for (int i = 0; i < kProcesses; i++)
    pids.push_back(in_child(parent.host->root(), [&](Member& m) { work(*m.environment); }));
  std::vector<std::thread> threads;
  for (int i = 0; i < 3; i++)
    threads.emplace_back([&] {
      auto environment = parent.host->enter(1);
      work(*environment);
    });
  for (auto& t : threads) t.join();
  for (pid_t pid : pids) CHECK(wait_for(pid) == 0);
  CHECK(shared.counter.load() == (3u + kProcesses) * 2 * kRounds);
  CHECK(shared.cell.word.load() == 0);
}

void a_wait_ends_in_time_or_when_interrupted_and_takes_nothing() {
  Member parent(Root::create());
  Block block = shared_block(parent);
  Actor actor = parent.actor();
  CHECK(lock_acquire(actor, block.offset, 0) == Acquired::kYes);
  auto other = parent.host->enter(1);
  Actor waiter = other->actor();
  CHECK(lock_acquire(waiter, block.offset, 0) == Acquired::kTimedOut);
  uint64_t start = platform::now_ns();
  CHECK(lock_acquire(waiter, block.offset, 50 * 1000000) == Acquired::kTimedOut);
  CHECK(platform::now_ns() - start >= 50 * 1000000u);
  Actor interrupted = other->actor([](void*) { return true; });
  CHECK(lock_acquire(interrupted, block.offset, -1) == Acquired::kInterrupted);
  CHECK(!lock_release(waiter, block.offset, waiter.me));
  CHECK(lock_release(waiter, block.offset, 0));  // a plain lock may be released by anybody
  CHECK(!lock_release(waiter, block.offset, 0));
}

void the_dead_hand_over_and_say_so() {
  Member parent(Root::create());
  Block block = shared_block(parent);
  Shared& shared = shared_of(parent, block);
  Actor actor = parent.actor();
  for (int i = 0; i < 30; i++) {
    shared.ready = 0;
    pid_t pid = in_child(parent.host->root(), [&](Member& m) {
      Actor mine = m.actor();
      heap_hold(mine, m.environment->slot(), block.offset, block.generation);
      CHECK(lock_acquire(mine, block.offset, -1) == Acquired::kYes);
      m.host->root().ref<Shared>(block.offset).ready = 1;
      for (;;) pause();
    });
    eventually("the child holds the lock", [&] { return shared.ready.load() == 1; });
    std::thread killer([&] {
      if (i % 2) usleep(3000);
      kill(pid, SIGKILL);
    });
    CHECK(lock_acquire(actor, block.offset, -1) == Acquired::kAbandoned);
    CHECK(lock_release(actor, block.offset, actor.me));
    killer.join();
    CHECK(wait_for(pid) == -SIGKILL);
  }
  // Nobody waits: the reaper marks the word.
  shared.ready = 0;
  pid_t pid = in_child(parent.host->root(), [&](Member& m) {
    Actor mine = m.actor();
    heap_hold(mine, m.environment->slot(), block.offset, block.generation);
    CHECK(lock_acquire(mine, block.offset, -1) == Acquired::kYes);
    m.host->root().ref<Shared>(block.offset).ready = 1;
    for (;;) pause();
  });
  eventually("the child holds the lock", [&] { return shared.ready.load() == 1; });
  kill(pid, SIGKILL);
  CHECK(wait_for(pid) == -SIGKILL);
  eventually("the word is marked", [&] { return (shared.cell.word.load() & ~kFlags) == kAbandoned; });
  CHECK(lock_try(actor, block.offset, false) == Acquired::kAbandoned);
}

void killed_holders_and_waiters_never_stop_the_others() {
  Member parent(Root::create());
  Block block = shared_block(parent);
  Shared& shared = shared_of(parent, block);
  constexpr int kChildren = 5;
  const int kills = getenv("MULTIPROC_KILLS") ? atoi(getenv("MULTIPROC_KILLS")) : 150;
  auto start = [&](int id) {
    return in_child(parent.host->root(), [&, id](Member& m) {
      Actor mine = m.actor();
      heap_hold(mine, m.environment->slot(), block.offset, block.generation);
      Shared& s = m.host->root().ref<Shared>(block.offset);
      for (;;) {
        Acquired got = lock_acquire(mine, block.offset, -1);
        if (got == Acquired::kAbandoned) s.half = s.counter / 2;  // repair, as a user would
        CHECK(s.half == s.counter / 2);
        s.counter.fetch_add(2);
        s.half++;
        s.by[id].fetch_add(1);
        CHECK(lock_release(mine, block.offset, mine.me));
      }
    });
  };
  std::vector<pid_t> pids;
  for (int i = 0; i < kChildren; i++) pids.push_back(start(i));
  const unsigned seed = 4711;
  std::mt19937 random(seed);
  for (int k = 0; k < kills; k++) {
    uint64_t before = shared.counter;
    eventually("somebody makes progress", [&] { return shared.counter > before + 20; });
    int victim = random() % kChildren;
    kill(pids[victim], SIGKILL);
    CHECK(wait_for(pids[victim]) == -SIGKILL);
    pids[victim] = start(victim);
  }
  for (pid_t pid : pids) {
    kill(pid, SIGKILL);
    CHECK(wait_for(pid) == -SIGKILL);
  }
  Actor actor = parent.actor();
  CHECK(lock_acquire(actor, block.offset, -1) <= Acquired::kAbandoned);
  eventually("only the parent's block is left", [&] { return heap_stats(actor).blocks == 1; });
  CHECK(heap_check(actor) == "");
}

void a_greedy_thread_does_not_starve_the_others() {
  Member parent(Root::create());
  Block block = shared_block(parent);
  Shared& shared = shared_of(parent, block);
  std::atomic<bool> stop{false};
  std::vector<std::thread> threads;
  constexpr int kThreads = 4;
  for (int id = 0; id < kThreads; id++)
    threads.emplace_back([&, id] {
      auto environment = parent.host->enter(id + 1);
      Actor actor = environment->actor();
      while (!stop) {
        CHECK(lock_acquire(actor, block.offset, -1) == Acquired::kYes);
        shared.by[id].fetch_add(1);
        CHECK(lock_release(actor, block.offset, actor.me));
      }
    });
  eventually("everybody had the lock fifty times", [&] {
    for (int id = 0; id < kThreads; id++)
      if (shared.by[id] < 50) return false;
    return true;
  });
  stop = true;
  for (auto& t : threads) t.join();
}

void who_is_killed_before_it_has_settled_in_leaves_no_slot() {
  Member parent(Root::create());
  Root& root = parent.host->root();
  auto taken = [&] {
    int n = 0;
    for (uint32_t i = 0; i < kSlots; i++) n += root.slot(i).state.load() != 0 ? 1 : 0;
    return n;
  };
  const int before = taken();
  const Owner child = parent.host->reserve_child();
  pid_t pid = fork();
  if (pid == 0) {
    claim_slot(root);
    kill_self();
  }
  CHECK(wait_for(pid) == -SIGKILL);
  CHECK(taken() == before + 2);
  parent.host->release_child(child);
  CHECK(taken() == before);
}

}  // namespace

int main() {
  signal(SIGPIPE, SIG_IGN);
  RUN(threads_and_processes_exclude_each_other);
  RUN(a_wait_ends_in_time_or_when_interrupted_and_takes_nothing);
  RUN(a_greedy_thread_does_not_starve_the_others);
  if (kProcesses == 0) return 0;
  RUN(who_is_killed_before_it_has_settled_in_leaves_no_slot);
  RUN(the_dead_hand_over_and_say_so);
  RUN(killed_holders_and_waiters_never_stop_the_others);
}
