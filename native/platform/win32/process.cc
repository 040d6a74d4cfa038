// Windows processes: handles on them, which also keep their pids from being given to others.
//
// Nothing marks a life word when its process ends; it holds the pid, and whoever sleeps on it (park.cc) waits
// for that process, too, and marks it.
#include <algorithm>
#include <cerrno>
#include <vector>

#include "platform/platform.h"
#include "platform/win32/system.h"

namespace multiproc::platform {

namespace {

/// A process that was ended for a signal has this exit code, and the signal's number in its last bits.
/// Without it: SIGTERM, as CPython's TerminateProcess(handle, 0x10000) has it.
constexpr DWORD kEndedBySignal = 0x10000;
constexpr int kTerminate = 15, kKill = 9;

}  // namespace

uint32_t current_process() { return GetCurrentProcessId(); }

uint64_t start_time_of(HANDLE process) {
  FILETIME created, exited, kernel, user;
  if (!GetProcessTimes(process, &created, &exited, &kernel, &user)) return 0;
  return uint64_t{created.dwHighDateTime} << 32 | created.dwLowDateTime;
}

uint64_t process_start_time(uint32_t pid) {
  if (pid == GetCurrentProcessId()) return start_time_of(GetCurrentProcess());
  Handle process(OpenProcess(PROCESS_QUERY_LIMITED_INFORMATION, FALSE, pid));
  return process.get() == nullptr ? 0 : start_time_of(process.get());
}

bool process_dead(uint32_t pid, uint64_t start_time) {
  if (pid == GetCurrentProcessId())
    return start_time != 0 && start_time_of(GetCurrentProcess()) != start_time;
  Handle process(OpenProcess(SYNCHRONIZE | PROCESS_QUERY_LIMITED_INFORMATION, FALSE, pid));
  if (process.get() == nullptr) return GetLastError() == ERROR_INVALID_PARAMETER;
  const uint64_t start = start_time_of(process.get());
  if (start_time != 0 && start != 0 && start != start_time) return true;
  return WaitForSingleObject(process.get(), 0) == WAIT_OBJECT_0;
}

bool thread_gone(uint32_t, uint32_t) { return false; }

uint64_t pid_namespace() { return 1; }

HANDLE copy_from(uint32_t pid, uint64_t start_time, intptr_t handle, DWORD rights) {
  Handle process(OpenProcess(kRelative, FALSE, pid));
  if (process.get() == nullptr) return nullptr;
  if (start_time != 0 && start_time_of(process.get()) != start_time) return nullptr;
  HANDLE copy = nullptr;
  DuplicateHandle(process.get(), handle_of(handle), GetCurrentProcess(), &copy, rights, FALSE, 0);
  return copy;
}

int process_open(uint32_t pid, ProcessHandle* out) {
  constexpr DWORD kRights = SYNCHRONIZE | PROCESS_QUERY_LIMITED_INFORMATION;
  HANDLE process = OpenProcess(kRights | PROCESS_TERMINATE, FALSE, pid);
  if (process == nullptr) process = OpenProcess(kRights, FALSE, pid);
  if (process == nullptr) return GetLastError() == ERROR_INVALID_PARAMETER ? -ESRCH : last_error();
  *out = number_of(process);
  return 0;
}

void process_close(ProcessHandle process) { CloseHandle(handle_of(process)); }

int process_wait(ProcessHandle process, int64_t timeout_ns, const int* descriptors, size_t count) {
  if (count >= MAXIMUM_WAIT_OBJECTS) return -EINVAL;
  std::vector<HANDLE> handles{handle_of(process)};
  for (size_t i = 0; i < count; i++) handles.push_back(handle_of(descriptors[i]));
  const DWORD result = WaitForMultipleObjects(static_cast<DWORD>(handles.size()), handles.data(), FALSE,
                                              milliseconds(timeout_ns));
  if (result == WAIT_TIMEOUT) return 0;
  if (result == WAIT_FAILED) return last_error();
  return result == WAIT_OBJECT_0 ? 1 : 2;
}

int process_watch(uint32_t pid, intptr_t* out) { return process_open(pid, out); }

bool process_status(ProcessHandle process, ExitStatus* out) {
  DWORD code;
  // 259 is an exit code like others, and what a running process answers.
  if (WaitForSingleObject(handle_of(process), 0) != WAIT_OBJECT_0 ||
      !GetExitCodeProcess(handle_of(process), &code))
    return false;
  const bool signalled = code >= kEndedBySignal && code < kEndedBySignal + 32;
  const int signal = static_cast<int>(code - kEndedBySignal);
  *out = {signalled ? 0 : static_cast<int>(code), !signalled ? 0 : signal == 0 ? kTerminate : signal};
  return true;
}

bool process_reap(uint32_t, bool, ExitStatus*) { return false; }

bool process_signal(ProcessHandle process, int signal) {
  if (WaitForSingleObject(handle_of(process), 0) == WAIT_OBJECT_0) return false;
  if (signal <= 0 || signal >= 32) return true;
  const DWORD code = kEndedBySignal + (signal == kTerminate ? 0 : static_cast<DWORD>(signal));
  return TerminateProcess(handle_of(process), code);
}

void end_this_process() { exit_process(static_cast<int>(kEndedBySignal) + kKill); }

void exit_process(int code) {
  TerminateProcess(GetCurrentProcess(), static_cast<UINT>(code));
  for (;;) Sleep(INFINITE);
}

int close_on_exec(int) { return 0; }

uint32_t current_thread() { return GetCurrentThreadId(); }

// ---- life words
// ------------------------------------------------------------------------------------------------

bool life_is_marked() { return true; }

uint32_t life_thread() {
  // The helper thread must not lose its code when the only Worker that loaded the addon ends.
  HMODULE self;
  GetModuleHandleExW(GET_MODULE_HANDLE_EX_FLAG_PIN | GET_MODULE_HANDLE_EX_FLAG_FROM_ADDRESS,
                     reinterpret_cast<LPCWSTR>(&life_thread), &self);
  return GetCurrentThreadId();
}

void life_add(Life* life) { life->word.store(GetCurrentProcessId()); }

void life_remove(Life*) {}

}  // namespace multiproc::platform
