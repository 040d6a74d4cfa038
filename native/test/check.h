// The least that a C++ test needs: checks that say where, and children that really die.
#pragma once
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <string>

#include "core/host.h"

#define CHECK(condition)                                                        \
  do {                                                                          \
    if (!(condition)) {                                                         \
      fprintf(stderr, "%s:%d: not true: %s\n", __FILE__, __LINE__, #condition); \
      _exit(1);                                                                 \
    }                                                                           \
  } while (0)

/// Names in LEAVE_OUT are not run: an emulator cannot do what they ask of the system.
#define RUN(test)                                                            \
  do {                                                                       \
    const char* without = getenv("LEAVE_OUT");                               \
    const bool runs = without == nullptr || !strstr(without, "," #test ","); \
    printf("  %s%s\n", #test, runs ? "" : ": left out");                     \
    fflush(stdout);                                                          \
    if (runs) test();                                                        \
  } while (0)

namespace multiproc {

extern std::atomic<int64_t> crash_countdown;
extern void (*crash_action)();

/// A process of the family, with its root mapped anew, as a started program would.
struct Member {
  std::unique_ptr<Host> host;
  std::unique_ptr<Environment> environment;
  explicit Member(std::unique_ptr<Root> root)
      : host(new Host(std::move(root))), environment(host->enter(0)) {}
  Actor actor() { return environment->actor(); }
};

inline pid_t in_child(Root& root, const std::function<void(Member&)>& body) {
  int fd = dup(static_cast<int>(root.memory()));
  std::string id = root.id();
  fflush(stdout);
  pid_t pid = fork();
  if (pid != 0) {
    close(fd);
    return pid;
  }
  {
    Member member(Root::attach(fd, id));
    body(member);
  }
  _exit(0);
}

/// Exit code, or minus the signal.
inline int wait_for(pid_t pid) {
  int status = 0;
  CHECK(waitpid(pid, &status, 0) == pid);
  return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
}

/// Waits until something becomes true by the work of another process; fails after ten seconds.
inline void eventually(const char* what, const std::function<bool()>& condition) {
  for (int i = 0; i < 10000; i++) {
    if (condition()) return;
    usleep(1000);
  }
  fprintf(stderr, "never became true: %s\n", what);
  _exit(1);
}

inline void kill_self() { kill(getpid(), SIGKILL); }

}  // namespace multiproc
