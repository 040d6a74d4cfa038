// Windows: time, and giving way. How to sleep on words of shared memory: park.cc.
#include <algorithm>

#include "platform/platform.h"
#include "platform/win32/system.h"

#ifndef CREATE_WAITABLE_TIMER_HIGH_RESOLUTION
#define CREATE_WAITABLE_TIMER_HIGH_RESOLUTION 2
#endif

namespace multiproc::platform {

uint64_t now_ns() {
  static const uint64_t frequency = [] {
    LARGE_INTEGER f;
    QueryPerformanceFrequency(&f);
    return static_cast<uint64_t>(f.QuadPart);
  }();
  LARGE_INTEGER now;
  QueryPerformanceCounter(&now);
  const uint64_t ticks = static_cast<uint64_t>(now.QuadPart);
  return ticks / frequency * 1000000000u + ticks % frequency * 1000000000u / frequency;
}

void nap(int64_t ns) {
  if (ns <= 0) return;
  // Sleep() counts in ticks of the clock, 15 ms as a rule; these timers (Windows 10, 1803) do not.
  Handle timer(
      CreateWaitableTimerExW(nullptr, nullptr, CREATE_WAITABLE_TIMER_HIGH_RESOLUTION, TIMER_ALL_ACCESS));
  LARGE_INTEGER due;
  due.QuadPart = -std::max<int64_t>(1, ns / 100);
  if (timer.get() == nullptr || !SetWaitableTimer(timer.get(), &due, 0, nullptr, nullptr, FALSE))
    Sleep(milliseconds(ns));
  else
    WaitForSingleObject(timer.get(), INFINITE);
}

void yield_cpu() { SwitchToThread(); }

void pause_cpu() { YieldProcessor(); }

unsigned usable_cpus() {
  DWORD_PTR own, all;
  unsigned count = 0;
  if (GetProcessAffinityMask(GetCurrentProcess(), &own, &all))
    for (; own != 0; own &= own - 1) count++;
  return count != 0 ? count
                    : GetActiveProcessorCount(ALL_PROCESSOR_GROUPS);  // 0: more than one group of CPUs
}

}  // namespace multiproc::platform
