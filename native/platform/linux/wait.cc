// Linux wait/wake: futexes; several words at once by futex_waitv (5.16), else short slices over the first
// word.
#include <linux/futex.h>
#include <sched.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <climits>
#include <ctime>

#include "platform/platform.h"

#ifndef SYS_futex_waitv
#define SYS_futex_waitv 449
#endif
#if !defined(SYS_futex) && defined(SYS_futex_time64)
#define SYS_futex SYS_futex_time64
#endif

namespace multiproc::platform {

namespace {

struct FutexWaitv {  // struct futex_waitv, which older kernel headers lack
  uint64_t value;
  uint64_t address;
  uint32_t flags;
  uint32_t reserved;
};
constexpr uint32_t kFutex32 = 2;

timespec to_timespec(int64_t ns) {
  timespec t;
  t.tv_sec = static_cast<time_t>(ns / 1000000000);
  t.tv_nsec = static_cast<long>(ns % 1000000000);
  return t;
}

/// 1: by its own answer there is a futex_waitv; 0: there is none (ENOSYS, or EPERM by a seccomp filter).
int probe_waitv() {
  errno = 0;
  syscall(SYS_futex_waitv, nullptr, 0, 0, nullptr, CLOCK_MONOTONIC);
  return errno == EINVAL ? 1 : 0;
}

bool has_waitv() {
  static const int answer = probe_waitv();
  return answer == 1;
}

bool wait_one(const Watch& watch, int64_t timeout_ns) {
  timespec t = to_timespec(timeout_ns < 0 ? 0 : timeout_ns);
  long r =
      syscall(SYS_futex, watch.word, FUTEX_WAIT, watch.expected, timeout_ns < 0 ? nullptr : &t, nullptr, 0);
  return !(r != 0 && errno == ETIMEDOUT);
}

}  // namespace

bool wait(const Watch* watches, size_t count, int64_t timeout_ns) {
  if (count == 1) return wait_one(watches[0], timeout_ns);
  if (!has_waitv()) {
    constexpr int64_t kSlice = 10 * 1000000;
    const uint64_t start = now_ns();
    for (;;) {
      for (size_t i = 1; i < count; i++)
        if (watches[i].word->load() != watches[i].expected) return true;
      int64_t left = timeout_ns < 0 ? kSlice : timeout_ns - static_cast<int64_t>(now_ns() - start);
      if (left <= 0) return false;
      if (wait_one(watches[0], left < kSlice ? left : kSlice)) return true;
    }
  }
  FutexWaitv v[kMaxWatches];
  if (count > kMaxWatches) count = kMaxWatches;
  for (size_t i = 0; i < count; i++)
    v[i] = {watches[i].expected, reinterpret_cast<uint64_t>(watches[i].word), kFutex32, 0};
  timespec t;
  if (timeout_ns >= 0) t = to_timespec(static_cast<int64_t>(now_ns()) + timeout_ns);
  long r = syscall(SYS_futex_waitv, v, count, 0, timeout_ns < 0 ? nullptr : &t, CLOCK_MONOTONIC);
  return !(r < 0 && errno == ETIMEDOUT);
}

uint32_t wake(Word* word, uint32_t count) {
  long woken = syscall(SYS_futex, word, FUTEX_WAKE, count, nullptr, nullptr, 0);
  return woken < 0 ? count : static_cast<uint32_t>(woken);
}

void nap(int64_t ns) {
  timespec t = to_timespec(ns);
  nanosleep(&t, nullptr);
}

uint64_t now_ns() {
  timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return static_cast<uint64_t>(t.tv_sec) * 1000000000u + static_cast<uint64_t>(t.tv_nsec);
}

void yield_cpu() { sched_yield(); }

void pause_cpu() {
#if defined(__x86_64__) || defined(__i386__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  asm volatile("yield");
#endif
}

unsigned usable_cpus() {
  cpu_set_t set;
  if (sched_getaffinity(0, sizeof set, &set) != 0) return 1;
  return static_cast<unsigned>(CPU_COUNT(&set));
}

}  // namespace multiproc::platform
