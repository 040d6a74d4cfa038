// macOS doorbells: a pipe for the own event loop. Nobody else can reopen it, so others ring through the
// helper thread. Compiled, never run: no Mac was at hand.
#include <fcntl.h>
#include <unistd.h>

#include <cerrno>

#include "platform/platform.h"

namespace multiproc::platform {

int bell_create(Bell* out, int* read_end, int* write_end) {
  int fds[2];
  if (pipe(fds) != 0) return -errno;
  for (int fd : fds) {
    fcntl(fd, F_SETFD, FD_CLOEXEC);
    fcntl(fd, F_SETFL, O_NONBLOCK);
  }
  *out = {-1, current_process(), {0, 0}};
  *read_end = fds[0];
  *write_end = fds[1];
  return 0;
}

int bell_open(const Bell&) { return -ENOTSUP; }

}  // namespace multiproc::platform
