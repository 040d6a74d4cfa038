// macOS wait/wake: os_sync_wait_on_address between processes (14.4 and later, looked up at run time); before,
// short sleeps. Compiled, never run: no Mac was at hand.
#include <dlfcn.h>
#include <mach/mach_time.h>
#include <sched.h>
#include <unistd.h>

#include <cerrno>
#include <ctime>

#include "platform/platform.h"

namespace multiproc::platform {

namespace {

// <os/os_sync_wait_on_address.h>, which older SDKs lack.
constexpr uint32_t kShared = 1;          // OS_SYNC_WAIT_ON_ADDRESS_SHARED, OS_SYNC_WAKE_BY_ADDRESS_SHARED
constexpr uint32_t kClockAbsolute = 32;  // OS_CLOCK_MACH_ABSOLUTE_TIME
using WaitFunction = int (*)(void*, uint64_t, size_t, uint32_t, uint32_t, uint64_t);
using WakeFunction = int (*)(void*, size_t, uint32_t);

template <class F>
F find(const char* name) {
  return reinterpret_cast<F>(dlsym(RTLD_DEFAULT, name));
}

}  // namespace

bool wait(const Watch* watches, size_t count, int64_t timeout_ns) {
  static const WaitFunction wait_on_address = find<WaitFunction>("os_sync_wait_on_address_with_timeout");
  // One word at a time: with more, or without the call, slices with a look at all words in between.
  const int64_t slice = wait_on_address == nullptr ? 500 * 1000 : 10 * 1000000;
  const uint64_t start = now_ns();
  for (;;) {
    for (size_t i = 0; i < count; i++)
      if (watches[i].word->load() != watches[i].expected) return true;
    int64_t left = timeout_ns < 0 ? slice : timeout_ns - static_cast<int64_t>(now_ns() - start);
    if (left <= 0) return false;
    if (left > slice) left = slice;
    if (wait_on_address == nullptr)
      nap(left);
    else if (wait_on_address(const_cast<Word*>(watches[0].word), watches[0].expected, sizeof(uint32_t),
                             kShared, kClockAbsolute, static_cast<uint64_t>(left)) >= 0)
      return true;
  }
}

uint32_t wake(Word* word, uint32_t count) {
  static const WakeFunction one = find<WakeFunction>("os_sync_wake_by_address_any");
  static const WakeFunction all = find<WakeFunction>("os_sync_wake_by_address_all");
  WakeFunction f = count == 1 ? one : all;
  return f != nullptr && f(word, sizeof(uint32_t), kShared) != 0 && errno == ENOENT ? 0 : count;
}

void nap(int64_t ns) {
  timespec t = {static_cast<time_t>(ns / 1000000000), static_cast<long>(ns % 1000000000)};
  nanosleep(&t, nullptr);
}

uint64_t now_ns() { return clock_gettime_nsec_np(CLOCK_UPTIME_RAW); }

void yield_cpu() { sched_yield(); }

void pause_cpu() {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#else
  asm volatile("yield");
#endif
}

unsigned usable_cpus() { return static_cast<unsigned>(sysconf(_SC_NPROCESSORS_ONLN)); }

}  // namespace multiproc::platform
