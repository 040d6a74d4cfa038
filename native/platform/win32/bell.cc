// Windows doorbells: an event that stays set until it is drained; siblings copy its handle out of its owner.
#include "platform/platform.h"
#include "platform/win32/system.h"

namespace multiproc::platform {

int bell_create(Bell* out, int* read_end, int* write_end) {
  Handle event(CreateEventW(nullptr, TRUE, FALSE, nullptr));
  HANDLE copy = nullptr;
  if (event.get() == nullptr || !DuplicateHandle(GetCurrentProcess(), event.get(), GetCurrentProcess(), &copy,
                                                 0, FALSE, DUPLICATE_SAME_ACCESS))
    return last_error();
  *out = {number_of(copy), current_process(), {process_start_time(current_process()), 0}};
  *read_end = number_of(event.release());
  *write_end = number_of(copy);
  return 0;
}

void bell_close(int read_end, int write_end) {
  if (read_end >= 0) CloseHandle(handle_of(read_end));
  if (write_end >= 0) CloseHandle(handle_of(write_end));
}

int bell_open(const Bell& bell) {
  HANDLE copy = copy_from(bell.pid, bell.identity[0], bell.descriptor, EVENT_MODIFY_STATE);
  return copy == nullptr ? -ENXIO : number_of(copy);
}

bool bell_ring(int write_end) { return SetEvent(handle_of(write_end)); }

void bell_drain(int read_end) { ResetEvent(handle_of(read_end)); }

}  // namespace multiproc::platform
