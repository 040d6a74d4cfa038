// macOS processes: sysctl for who is who, kqueue for their end. There are no robust lists: life words are not
// marked. Compiled, never run: no Mac was at hand.
#include <sys/event.h>
#include <sys/sysctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <ctime>

#include "platform/platform.h"

namespace multiproc::platform {

uint32_t current_process() { return static_cast<uint32_t>(getpid()); }

namespace {

/// 1: found; 0: no such process; -1: cannot tell.
int look_up(uint32_t pid, kinfo_proc* out) {
  int name[4] = {CTL_KERN, KERN_PROC, KERN_PROC_PID, static_cast<int>(pid)};
  size_t length = sizeof *out;
  if (sysctl(name, 4, out, &length, nullptr, 0) != 0) return errno == ESRCH ? 0 : -1;
  return length == 0 ? 0 : 1;
}

uint64_t start_of(const kinfo_proc& p) {
  return static_cast<uint64_t>(p.kp_proc.p_starttime.tv_sec) * 1000000u +
         static_cast<uint64_t>(p.kp_proc.p_starttime.tv_usec);
}

}  // namespace

uint64_t process_start_time(uint32_t pid) {
  kinfo_proc p;
  return look_up(pid, &p) == 1 ? start_of(p) : 0;
}

bool process_dead(uint32_t pid, uint64_t start_time) {
  kinfo_proc p;
  int known = look_up(pid, &p);
  return known == 0 || (known == 1 && (start_of(p) != start_time || p.kp_proc.p_stat == SZOMB));
}

bool thread_gone(uint32_t, uint32_t) { return false; }

uint64_t pid_namespace() { return 1; }

int process_open(uint32_t pid, ProcessHandle* out) {
  kinfo_proc p;
  if (look_up(pid, &p) == 0) return -ESRCH;
  *out = static_cast<ProcessHandle>(pid);
  return 0;
}

void process_close(ProcessHandle) {}

int process_wait(ProcessHandle process, int64_t timeout_ns, const int* descriptors, size_t count) {
  int queue = kqueue();
  if (queue < 0) return -errno;
  struct kevent change, event;
  int result = 0;
  EV_SET(&change, static_cast<uintptr_t>(process), EVFILT_PROC, EV_ADD, NOTE_EXIT, 0, nullptr);
  if (kevent(queue, &change, 1, nullptr, 0, nullptr) != 0) result = errno == ESRCH ? 1 : -errno;
  for (size_t i = 0; result == 0 && i < count; i++) {
    EV_SET(&change, static_cast<uintptr_t>(descriptors[i]), EVFILT_READ, EV_ADD, 0, 0, nullptr);
    if (kevent(queue, &change, 1, nullptr, 0, nullptr) != 0) result = -errno;
  }
  if (result == 0) {
    timespec t = {static_cast<time_t>(timeout_ns / 1000000000), static_cast<long>(timeout_ns % 1000000000)};
    int n = kevent(queue, nullptr, 0, &event, 1, timeout_ns < 0 ? nullptr : &t);
    if (n < 0)
      result = errno == EINTR ? 0 : -errno;
    else if (n > 0)
      result = event.filter == EVFILT_PROC ? 1 : 2;
  }
  close(queue);
  return result;
}

int process_watch(uint32_t pid, intptr_t* out) {
  int queue = kqueue();
  if (queue < 0) return -errno;
  struct kevent change;
  EV_SET(&change, static_cast<uintptr_t>(pid), EVFILT_PROC, EV_ADD, NOTE_EXIT, 0, nullptr);
  if (kevent(queue, &change, 1, nullptr, 0, nullptr) != 0) {
    const int error = -errno;
    close(queue);
    return error;
  }
  *out = queue;
  return 0;
}

bool process_status(ProcessHandle process, ExitStatus* out) {
  siginfo_t info;
  memset(&info, 0, sizeof info);
  if (waitid(P_PID, static_cast<id_t>(process), &info, WEXITED | WNOHANG | WNOWAIT) != 0 || info.si_pid == 0)
    return false;
  bool exited = info.si_code == CLD_EXITED;
  out->exit_code = exited ? info.si_status : 0;
  out->signal = exited ? 0 : info.si_status;
  return true;
}

bool life_is_marked() { return false; }

uint32_t life_thread() { return 1; }

void life_add(Life* life) { life->word.store(1); }

void life_remove(Life*) {}

}  // namespace multiproc::platform
