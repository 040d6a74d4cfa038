// What the files of this folder share: Windows' header, its errors as errno numbers, handles as plain ints.
//
// Numbers of handles have 32 significant bits at most (documented, so that 32-bit programs can share them),
// so a handle fits where other systems have a descriptor.
#pragma once
#ifndef WIN32_LEAN_AND_MEAN
#define WIN32_LEAN_AND_MEAN
#endif
#ifndef NOMINMAX
#define NOMINMAX
#endif
#include <winsock2.h>
// After winsock2.h, or the old winsock.h comes in.
#include <windows.h>

#include <cerrno>
#include <cstdint>

namespace multiproc::platform {

inline HANDLE handle_of(intptr_t number) { return reinterpret_cast<HANDLE>(number); }
inline int number_of(HANDLE handle) { return static_cast<int>(reinterpret_cast<intptr_t>(handle)); }

/// A negated errno for what GetLastError() says.
int system_error(DWORD error);
inline int last_error() { return system_error(GetLastError()); }

/// Whole ms, rounded up: a wait must not end before its time. INFINITE for a negative time.
inline DWORD milliseconds(int64_t ns) {
  if (ns < 0) return INFINITE;
  const int64_t ms = (ns + 999999) / 1000000;
  return ms > 0x7fffffff ? 0x7fffffff : static_cast<DWORD>(ms);
}

/// A handle that is closed with its owner.
class Handle {
 public:
  explicit Handle(HANDLE handle = nullptr) : handle_(handle) {}
  ~Handle() {
    if (handle_ != nullptr) CloseHandle(handle_);
  }
  Handle(const Handle&) = delete;
  Handle& operator=(const Handle&) = delete;
  HANDLE get() const { return handle_; }
  HANDLE release() {
    HANDLE handle = handle_;
    handle_ = nullptr;
    return handle;
  }

 private:
  HANDLE handle_;
};

/// The rights by which relatives look at each other: to wait for the end, to copy handles, to ask for times.
constexpr DWORD kRelative = SYNCHRONIZE | PROCESS_DUP_HANDLE | PROCESS_QUERY_LIMITED_INFORMATION;

/// When the process behind the handle was started; 0: it cannot be read.
uint64_t start_time_of(HANDLE process);

/// A copy of another process's handle; nullptr: the process is gone, is another one by now (its start time is
/// not the given one, unless that is 0), or does not let us.
HANDLE copy_from(uint32_t pid, uint64_t start_time, intptr_t handle, DWORD rights);

/// What a wait for one event (as for socket_wait) of a descriptor waits for: the handle itself, or an event
/// of the stream that it stands for.
HANDLE waitable_of(int descriptor, int event);
/// What of `events` the descriptor is ready for just now.
int ready_events(int descriptor, int events);

}  // namespace multiproc::platform
