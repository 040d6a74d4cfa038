// The heap: invariants under random use, refusal of what never was a block, and death at every single step.
#include <cstring>
#include <map>
#include <random>
#include <thread>
#include <vector>

#include "test/check.h"

using namespace multiproc;

namespace {

template <class F>
std::string code_of(F f) {
  try {
    f();
  } catch (const Refusal& r) {
    return r.code;
  } catch (const SystemError& e) {
    return std::to_string(e.error);
  }
  return "";
}

void random_use_keeps_every_list_sound() {
  Member member(Root::create());
  Actor actor = member.actor();
  const unsigned seed = 20261121;
  std::mt19937 random(seed);
  struct Mine {
    uint64_t bytes;
    uint8_t fill;
    uint32_t generation;
  };
  std::map<Offset, Mine> mine;
  uint32_t slot = member.environment->slot();
  for (int step = 0; step < 20000; step++) {
    if (mine.size() < 400 && random() % 5 < 3) {
      uint64_t bytes = random() % 10 == 0  ? random() % 3000000
                       : random() % 8 == 0 ? random() % 40000
                                           : random() % 200;
      Block b = heap_allocate(actor, slot, bytes, Kind::kData);
      CHECK(b.bytes == bytes);
      CHECK(b.offset % (heap_footprint(bytes) < 64 ? heap_footprint(bytes) : 64) == 0);
      uint8_t fill = static_cast<uint8_t>(random());
      for (uint64_t at = 0; at < bytes; at += 4096) {
        uint64_t n = std::min<uint64_t>({4096, bytes - at, kWindowBytes - (b.offset + at) % kWindowBytes});
        uint8_t* p = static_cast<uint8_t*>(actor.root.at(b.offset + at, n));
        for (uint64_t i = 0; i < n; i++) CHECK(p[i] == 0);
        memset(p, fill, n);
      }
      auto next = mine.lower_bound(b.offset);
      CHECK(next == mine.end() || b.offset + bytes <= next->first);
      CHECK(next == mine.begin() || std::prev(next)->first + std::prev(next)->second.bytes <= b.offset);
      mine[b.offset] = {bytes, fill, b.generation};
    } else if (!mine.empty()) {
      auto it = std::next(mine.begin(), random() % mine.size());
      if (it->second.bytes > 0) CHECK(*static_cast<uint8_t*>(actor.root.at(it->first, 1)) == it->second.fill);
      CHECK(heap_drop(actor, slot, it->first));
      CHECK(code_of([&] { heap_hold(actor, slot, it->first, it->second.generation); }) == "ERR_MP_GONE");
      mine.erase(it);
    }
    if (step % 500 == 0) CHECK(heap_check(actor) == "");
  }
  for (auto& [offset, m] : mine) CHECK(heap_drop(actor, slot, offset));
  CHECK(heap_check(actor) == "");
  CHECK(heap_stats(actor).blocks == 0);
  CHECK(heap_stats(actor).bytes == 0);
}

void a_double_free_and_a_forged_handle_are_refused() {
  Member member(Root::create());
  Actor actor = member.actor();
  uint32_t slot = member.environment->slot();
  Block a = heap_allocate(actor, slot, 100, Kind::kData);
  Block big = heap_allocate(actor, slot, 1000000, Kind::kData);
  CHECK(heap_drop(actor, slot, a.offset));
  CHECK(code_of([&] { heap_drop(actor, slot, a.offset); }) == "ERR_MP_GONE");
  CHECK(heap_drop(actor, slot, big.offset));
  CHECK(code_of([&] { heap_drop(actor, slot, big.offset); }) == "ERR_MP_GONE");
  Block b = heap_allocate(actor, slot, 100, Kind::kData);
  CHECK(b.offset == a.offset);  // the place is used again …
  CHECK(code_of([&] { heap_hold(actor, slot, a.offset, a.generation); }) ==
        "ERR_MP_GONE");  // … under another generation
  std::mt19937_64 random(7);
  for (int i = 0; i < 20000; i++) {
    Offset offset = i % 2 ? random() : b.offset + random() % 100000;
    if (offset == b.offset) continue;
    std::string code = code_of([&] { heap_hold(actor, slot, offset, static_cast<uint32_t>(random())); });
    CHECK(code == "ERR_MP_GONE" || code == "ERR_MP_CORRUPT");
  }
  CHECK(code_of([&] { heap_allocate(actor, slot, uint64_t{1} << 50, Kind::kData); }) ==
        std::to_string(ENOSPC));
  CHECK(heap_check(actor) == "");
}

/// One of each kind of change, in an order that splits and joins runs and fills and empties spans.
void workload(Member& member) {
  Actor actor = member.actor();
  uint32_t slot = member.environment->slot();
  std::vector<Offset> blocks;
  for (int i = 0; i < 6; i++)
    blocks.push_back(heap_allocate(actor, slot, i % 2 ? 30000 : 200000, Kind::kData).offset);
  for (size_t i : {1u, 3u, 2u, 0u}) heap_drop(actor, slot, blocks[i]);
  heap_allocate(actor, slot, 130000, Kind::kData);
  heap_allocate(actor, slot, 8, Kind::kLock);
}

void death_at_every_step_leaves_the_lists_sound_and_nothing_held() {
  Member parent(Root::create());
  Actor actor = parent.actor();
  Block kept = heap_allocate(actor, parent.environment->slot(), 64, Kind::kLock);
  int deaths = 0;
  for (int64_t step = 1;; step++) {
    pid_t pid = in_child(parent.host->root(), [&](Member& member) {
      crash_action = kill_self;
      Actor mine = member.actor();
      heap_hold(mine, member.environment->slot(), kept.offset, kept.generation);
      crash_countdown = step;
      workload(member);
      crash_action = nullptr;
    });
    int result = wait_for(pid);
    eventually("only the parent's block is left", [&] { return heap_stats(actor).blocks == 1; });
    std::string fault = heap_check(actor);
    if (!fault.empty())
      fprintf(stderr, "after death at step %ld: %s\n", static_cast<long>(step), fault.c_str());
    CHECK(fault.empty());
    if (result == 0) break;
    CHECK(result == -SIGKILL);
    deaths++;
    if (step > 60) step += 6;  // every step of the first transactions, then a sample
  }
  printf("    %d deaths\n", deaths);
  CHECK(deaths > 100);
}

void many_processes_allocate_and_drop_at_once() {
  Member parent(Root::create());
  std::vector<pid_t> pids;
  for (int i = 0; i < 4; i++)
    pids.push_back(in_child(parent.host->root(), [i](Member& member) {
      Actor actor = member.actor();
      std::mt19937 random(i);
      std::vector<Offset> mine;
      for (int step = 0; step < 3000; step++) {
        if (mine.size() < 50 || random() % 2) {
          Block b = heap_allocate(actor, member.environment->slot(), random() % 3000, Kind::kData);
          memset(actor.root.at(b.offset, b.bytes), i + 1, b.bytes);
          mine.push_back(b.offset);
        } else {
          size_t k = random() % mine.size();
          heap_drop(actor, member.environment->slot(), mine[k]);
          mine.erase(mine.begin() + k);
        }
      }
    }));
  for (pid_t pid : pids) CHECK(wait_for(pid) == 0);
  Actor actor = parent.actor();
  eventually("all blocks are back", [&] { return heap_stats(actor).blocks == 0; });
  CHECK(heap_check(actor) == "");
}

void many_threads_allocate_and_drop_at_once() {
  Member parent(Root::create());
  std::vector<std::thread> threads;
  for (int i = 0; i < 4; i++)
    threads.emplace_back([&, i] {
      auto environment = parent.host->enter(i + 1);
      Actor actor = environment->actor();
      Block shared = heap_allocate(actor, environment->slot(), 64, Kind::kData);
      for (int step = 0; step < 2000; step++) {
        Block b = heap_allocate(actor, environment->slot(), step % 7 == 0 ? 100000 : step % 300, Kind::kData);
        heap_hold(actor, parent.environment->slot(), shared.offset, shared.generation);
        memset(actor.root.at(b.offset, 1), i, 1);
        if (step % 3 != 0) CHECK(heap_drop(actor, environment->slot(), b.offset));
      }
      CHECK(heap_drop(actor, parent.environment->slot(), shared.offset));
    });
  for (auto& t : threads) t.join();
  Actor actor = parent.actor();
  CHECK(heap_stats(actor).blocks == 0);  // what a thread left is reaped with its environment
  CHECK(heap_check(actor) == "");
}

}  // namespace

int main() {
  signal(SIGPIPE, SIG_IGN);
  RUN(random_use_keeps_every_list_sound);
  RUN(a_double_free_and_a_forged_handle_are_refused);
  RUN(many_threads_allocate_and_drop_at_once);
#ifndef __SANITIZE_THREAD__  // TSan cannot follow threads started after a fork of a process with threads
  RUN(death_at_every_step_leaves_the_lists_sound_and_nothing_held);
  RUN(many_processes_allocate_and_drop_at_once);
#endif
}
