// Linux processes: pidfds where the kernel has them, /proc otherwise; life words by the robust list of one
// thread.
#include <fcntl.h>
#include <poll.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <ctime>

#include "platform/platform.h"

#ifndef SYS_pidfd_open
#define SYS_pidfd_open 434
#endif

namespace multiproc::platform {

uint32_t current_process() { return static_cast<uint32_t>(getpid()); }

namespace {

/// State letter and start time (clock ticks since boot) from /proc/<pid>/stat; 0: no such process; -1: cannot
/// tell.
int read_stat(uint32_t pid, char* state, uint64_t* start_time) {
  char path[40], text[1024];
  snprintf(path, sizeof path, "/proc/%u/stat", pid);
  int fd = open(path, O_RDONLY | O_CLOEXEC);
  if (fd < 0) return errno == ENOENT || errno == ESRCH ? 0 : -1;
  ssize_t n = read(fd, text, sizeof text - 1);
  int error = errno;
  close(fd);
  if (n <= 0) return n < 0 && error == ESRCH ? 0 : -1;
  text[n] = 0;
  const char* p = strrchr(text, ')');  // the name may hold anything, ')' too
  if (p == nullptr || p[1] != ' ') return -1;
  *state = p[2];
  p += 2;
  for (int field = 3; field < 22; field++) {  // to field 22, the start time
    p = strchr(p, ' ');
    if (p == nullptr) return -1;
    p++;
  }
  *start_time = strtoull(p, nullptr, 10);
  return 1;
}

int open_pidfd(uint32_t pid) { return static_cast<int>(syscall(SYS_pidfd_open, static_cast<pid_t>(pid), 0)); }

}  // namespace

uint64_t process_start_time(uint32_t pid) {
  char state;
  uint64_t start;
  return read_stat(pid, &state, &start) == 1 ? start : 0;
}

bool process_dead(uint32_t pid, uint64_t start_time) {
  int fd = open_pidfd(pid);  // first: from here on the pid cannot be another's without our seeing it
  if (fd < 0 && errno == ESRCH) return true;
  char state = 0;
  uint64_t start = 0;
  int known = read_stat(pid, &state, &start);
  // Whatever cannot be read (EMFILE, a hidden /proc) says nothing.
  const bool other = known == 1 && start_time != 0 && start != start_time;
  bool dead = other || (known == 1 && (state == 'Z' || state == 'X')) ||
              (known == 0 && kill(static_cast<pid_t>(pid), 0) != 0 && errno == ESRCH);
  if (fd >= 0) {
    if (!other) {
      pollfd p = {fd, POLLIN, 0};
      dead = poll(&p, 1, 0) == 1;  // a zombie leader with living threads is not readable
    }
    close(fd);
  }
  return dead;
}

bool thread_gone(uint32_t pid, uint32_t thread) {
  char path[60];
  snprintf(path, sizeof path, "/proc/%u/task/%u", pid, thread);
  struct stat st;
  return stat(path, &st) != 0 && (errno == ENOENT || errno == ESRCH);
}

uint64_t pid_namespace() {
  struct stat st;
  return stat("/proc/self/ns/pid", &st) == 0 ? static_cast<uint64_t>(st.st_ino) : 0;
}

int process_open(uint32_t pid, ProcessHandle* out) {
  int fd = open_pidfd(pid);
  if (fd < 0) return -errno;
  *out = fd;
  return 0;
}

void process_close(ProcessHandle process) { close(static_cast<int>(process)); }

int process_wait(ProcessHandle process, int64_t timeout_ns, const int* descriptors, size_t count) {
  constexpr size_t kMax = 15;
  pollfd fds[kMax + 1];
  if (count > kMax) return -EINVAL;
  fds[0] = {static_cast<int>(process), POLLIN, 0};
  for (size_t i = 0; i < count; i++) fds[i + 1] = {descriptors[i], POLLIN, 0};
  timespec t = {static_cast<time_t>(timeout_ns / 1000000000), static_cast<long>(timeout_ns % 1000000000)};
  int n = ppoll(fds, count + 1, timeout_ns < 0 ? nullptr : &t, nullptr);
  if (n < 0) return errno == EINTR ? 0 : -errno;
  if (n == 0) return 0;
  for (size_t i = 1; i <= count; i++)
    if (fds[i].revents != 0) return 2;
  return 1;
}

int process_watch(uint32_t pid, intptr_t* out) { return process_open(pid, out); }

bool process_status(ProcessHandle process, ExitStatus* out) {
  siginfo_t info;
  memset(&info, 0, sizeof info);
  constexpr int kPidfd = 3;  // P_PIDFD
  if (waitid(static_cast<idtype_t>(kPidfd), static_cast<id_t>(process), &info, WEXITED | WNOHANG | WNOWAIT) !=
      0)
    return false;
  if (info.si_pid == 0) return false;
  bool exited = info.si_code == CLD_EXITED;
  out->exit_code = exited ? info.si_status : 0;
  out->signal = exited ? 0 : info.si_status;
  return true;
}

// ---- life words
// ------------------------------------------------------------------------------------------------

namespace {

struct RobustList {
  uint64_t next;
  int64_t futex_offset;
  uint64_t pending;
};
RobustList robust_list;
uint32_t robust_thread;

uint64_t address(void* p) { return reinterpret_cast<uint64_t>(p); }

}  // namespace

bool life_is_marked() { return true; }

uint32_t life_thread() {
  robust_list.next = address(&robust_list);
  robust_list.futex_offset =
      static_cast<int64_t>(offsetof(Life, word)) - static_cast<int64_t>(offsetof(Life, next));
  robust_list.pending = 0;
  syscall(SYS_set_robust_list, &robust_list, sizeof robust_list);
  robust_thread = static_cast<uint32_t>(syscall(SYS_gettid));
  return robust_thread;
}

void life_add(Life* life) {
  constexpr uint32_t kFutexWaiters = 0x80000000u;  // the kernel wakes at death only where this is set
  life->word.store(robust_thread | kFutexWaiters);
  life->next = robust_list.next;
  std::atomic_signal_fence(std::memory_order_seq_cst);  // the kernel may walk the list between any two stores
  robust_list.next = address(&life->next);
}

void life_remove(Life* life) {
  for (uint64_t* link = &robust_list.next; *link != address(&robust_list);
       link = reinterpret_cast<uint64_t*>(*link))
    if (*link == address(&life->next)) {
      *link = life->next;
      return;
    }
}

}  // namespace multiproc::platform
