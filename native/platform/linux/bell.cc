// Linux doorbells: a pipe, reopened by siblings through /proc (an eventfd cannot be) and checked to be the
// same one.
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>

#include "platform/platform.h"

namespace multiproc::platform {

int bell_create(Bell* out, int* read_end, int* write_end) {
  int fds[2];
  if (pipe2(fds, O_CLOEXEC | O_NONBLOCK) != 0) return -errno;
  struct stat st;
  if (fstat(fds[1], &st) != 0) {
    int error = -errno;
    bell_close(fds[0], fds[1]);
    return error;
  }
  *out = {fds[1], current_process(), {static_cast<uint64_t>(st.st_dev), static_cast<uint64_t>(st.st_ino)}};
  *read_end = fds[0];
  *write_end = fds[1];
  return 0;
}

int bell_open(const Bell& bell) {
  char path[60];
  snprintf(path, sizeof path, "/proc/%u/fd/%d", bell.pid, bell.descriptor);
  int fd = open(path, O_WRONLY | O_NONBLOCK | O_CLOEXEC);
  if (fd < 0) return -errno;
  struct stat st;
  if (fstat(fd, &st) != 0 || !S_ISFIFO(st.st_mode) || static_cast<uint64_t>(st.st_dev) != bell.identity[0] ||
      static_cast<uint64_t>(st.st_ino) != bell.identity[1]) {
    close(fd);
    return -ENXIO;
  }
  return fd;
}

}  // namespace multiproc::platform
