// Doorbells: what Linux and macOS have in common.
#include <unistd.h>

#include <cerrno>

#include "platform/platform.h"

namespace multiproc::platform {

void bell_close(int read_end, int write_end) {
  if (read_end >= 0) close(read_end);
  if (write_end >= 0) close(write_end);
}

bool bell_ring(int write_end) {
  for (;;) {
    if (write(write_end, "", 1) == 1 || errno == EAGAIN) return true;  // a full pipe is a bell that rings
    if (errno != EINTR) return false;
  }
}

void bell_drain(int read_end) {
  char rings[64];
  while (read(read_end, rings, sizeof rings) == sizeof rings) continue;
}

}  // namespace multiproc::platform
