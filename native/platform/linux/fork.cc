// Linux: forking a process that has more threads than the one that forks, and what it needs around it.
#include <dirent.h>
#include <fcntl.h>
#include <malloc.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>

#include "platform/platform.h"

#ifndef SYS_pidfd_open
#define SYS_pidfd_open 434
#endif
#ifndef SYS_pidfd_send_signal
#define SYS_pidfd_send_signal 424
#endif

namespace multiproc::platform {

const char* fork_refusal() {
#if !defined(__x86_64__)
  return "it was tested on x86-64 only";
#elif !defined(__GLIBC__)
  return "it was tested with glibc only (this is another C library)";
#else
  static const bool pidfds = [] {
    int fd = static_cast<int>(syscall(SYS_pidfd_open, getpid(), 0));
    if (fd < 0) return false;
    bool signals = syscall(SYS_pidfd_send_signal, fd, 0, nullptr, 0) == 0;
    close(fd);
    return signals;
  }();
  return pidfds ? nullptr : "this kernel (or a filter of its calls) has no pidfds";
#endif
}

namespace {

sigset_t signals_before;

std::string read_all(const char* path) {
  std::string text;
  int fd = open(path, O_RDONLY | O_CLOEXEC);
  if (fd < 0) return text;
  char part[65536];
  for (ssize_t n; (n = read(fd, part, sizeof part)) != 0;) {
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) {
      text.clear();
      break;
    }
    text.append(part, static_cast<size_t>(n));
  }
  close(fd);
  return text;
}

/// V8 marks its heap MADV_DONTFORK: the copy would not have it. Undone for all private memory without a name.
int copy_all_memory() {
  const std::string maps = read_all("/proc/self/maps");
  if (maps.empty()) return -EACCES;
  uintptr_t start = 0, end = 0;
  int error = 0;
  auto flush = [&] {
    // Some regions of the kernel's own cannot be advised: they need it not.
    if (end > start && madvise(reinterpret_cast<void*>(start), end - start, MADV_DOFORK) != 0 &&
        errno != EINVAL)
      error = -errno;
    start = end = 0;
  };
  for (const char* p = maps.c_str(); *p != 0;) {
    const char* eol = strchr(p, '\n');
    if (eol == nullptr) break;
    // from-to rwxp offset device inode [path]: what is no file and has no name ends with "p 00000000 00:00 0"
    char* after;
    const uintptr_t from = strtoul(p, &after, 16);
    const uintptr_t to = strtoul(after + 1, &after, 16);
    const char* last = eol;
    while (last > after && last[-1] == ' ') last--;
    if (last - after == 22 && memcmp(after + 4, "p 00000000 00:00 0", 18) == 0) {
      if (from != end) {
        flush();
        start = from;
      }
      end = to;
    }
    p = eol + 1;
  }
  flush();
  return error;
}

}  // namespace

int64_t fork_process() {
  sigset_t all;
  sigfillset(&all);
  // A signal in the copy would be written into the original's pipe, until its event loop has one of its own.
  pthread_sigmask(SIG_SETMASK, &all, &signals_before);
  int error = copy_all_memory();
  if (error != 0) return error;
  pid_t pid = fork();
  return pid < 0 ? -errno : pid;
}

void fork_done() { pthread_sigmask(SIG_SETMASK, &signals_before, nullptr); }

void ignore_interrupts(bool ignore) { signal(SIGINT, ignore ? SIG_IGN : SIG_DFL); }

void trim_memory() {
#ifdef __GLIBC__
  malloc_trim(0);
#endif
}

int64_t list_threads(uint32_t* out, size_t max) {
  DIR* folder = opendir("/proc/self/task");
  if (folder == nullptr) return -errno;
  size_t count = 0;
  while (dirent* entry = readdir(folder)) {
    if (entry->d_name[0] == '.') continue;
    if (count < max) out[count] = static_cast<uint32_t>(strtoul(entry->d_name, nullptr, 10));
    count++;
  }
  closedir(folder);
  return static_cast<int64_t>(count);
}

uint32_t current_thread() { return static_cast<uint32_t>(syscall(SYS_gettid)); }

void thread_name(uint32_t thread, char* out, size_t length) {
  char path[60];
  snprintf(path, sizeof path, "/proc/self/task/%u/comm", thread);
  std::string name = read_all(path);
  if (!name.empty() && name.back() == '\n') name.pop_back();
  snprintf(out, length, "%s", name.c_str());
}

bool process_reap(uint32_t pid, bool keep, ExitStatus* out) {
  siginfo_t info;
  memset(&info, 0, sizeof info);
  int options = WEXITED | WNOHANG | (keep ? WNOWAIT : 0);
  while (waitid(P_PID, pid, &info, options) != 0)
    if (errno != EINTR) return false;
  if (info.si_pid == 0) return false;
  const bool exited = info.si_code == CLD_EXITED;
  out->exit_code = exited ? info.si_status : 0;
  out->signal = exited ? 0 : info.si_status;
  return true;
}

bool process_signal(ProcessHandle process, int signal) {
  return syscall(SYS_pidfd_send_signal, static_cast<int>(process), signal, nullptr, 0) == 0;
}

}  // namespace multiproc::platform
