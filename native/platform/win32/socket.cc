// Windows: streams of bytes to other programs, and what waits for descriptors of all kinds.
#include <vector>

#include "platform/platform.h"
#include "platform/win32/system.h"

namespace multiproc::platform {

HANDLE waitable_of(int descriptor, int) { return handle_of(descriptor); }

int ready_events(int descriptor, int events) {
  return WaitForSingleObject(handle_of(descriptor), 0) == WAIT_OBJECT_0 ? events : 0;
}

int socket_listen(const SocketName&, int, SocketHandle*) { return -ENOTSUP; }
int socket_connect(const SocketName&, SocketHandle*) { return -ENOTSUP; }
int socket_connected(SocketHandle) { return -ENOTSUP; }
int socket_accept(SocketHandle, SocketHandle*) { return -ENOTSUP; }
int socket_name(SocketHandle, bool, SocketName*) { return -ENOTSUP; }
int64_t socket_read(SocketHandle, void*, size_t) { return -ENOTSUP; }
int64_t socket_write(SocketHandle, const void*, size_t, const void*, size_t) { return -ENOTSUP; }
int socket_wait(const SocketHandle*, size_t, int, int64_t) { return -ENOTSUP; }
size_t host_addresses(const char*, SocketName*, size_t) { return 0; }
void socket_close(SocketHandle socket) { CloseHandle(handle_of(socket)); }

int descriptors_wait(const int* descriptors, uint8_t* ready, size_t count, int64_t timeout_ns) {
  if (count > MAXIMUM_WAIT_OBJECTS) return -EINVAL;
  std::vector<HANDLE> handles;
  for (size_t i = 0; i < count; i++) handles.push_back(waitable_of(descriptors[i], kSocketReadable));
  const DWORD result =
      WaitForMultipleObjects(static_cast<DWORD>(count), handles.data(), FALSE, milliseconds(timeout_ns));
  if (result == WAIT_FAILED && GetLastError() != ERROR_INVALID_HANDLE) return last_error();
  for (size_t i = 0; i < count; i++) {
    const DWORD each = result == WAIT_TIMEOUT ? WAIT_TIMEOUT : WaitForSingleObject(handles[i], 0);
    ready[i] = each == WAIT_FAILED ? 2 : each == WAIT_OBJECT_0 ? 1 : 0;
  }
  return result == WAIT_TIMEOUT ? 0 : 1;
}

}  // namespace multiproc::platform
