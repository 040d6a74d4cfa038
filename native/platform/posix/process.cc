// Processes: what Linux and macOS have in common.
#include <unistd.h>

#include <csignal>
#include <cstdlib>

#include "platform/platform.h"

namespace multiproc::platform {

void end_this_process() {
  kill(getpid(), SIGKILL);
  abort();
}

void exit_process(int code) { _exit(code); }

}  // namespace multiproc::platform
