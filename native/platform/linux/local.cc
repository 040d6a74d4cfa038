// Linux local sockets: abstract names, which vanish with their owner and need no folder.
#include "platform/posix/local.h"

#include <sys/socket.h>
#include <sys/un.h>

#include <cerrno>
#include <cstddef>
#include <cstdio>

namespace multiproc::platform {

namespace {
socklen_t address_of(uint64_t name, sockaddr_un* out) {
  *out = {};
  out->sun_family = AF_UNIX;
  int length = snprintf(out->sun_path + 1, sizeof out->sun_path - 1, "multiproc-%016llx",
                        static_cast<unsigned long long>(name));
  return static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + 1 + static_cast<size_t>(length));
}
}  // namespace

int make_socket() {
  int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  return fd < 0 ? -errno : fd;
}

int accept_socket(int listener) {
  int fd = accept4(listener, nullptr, nullptr, SOCK_CLOEXEC);
  return fd < 0 ? -errno : fd;
}

int bind_name(int socket, uint64_t name) {
  sockaddr_un address;
  socklen_t length = address_of(name, &address);
  return bind(socket, reinterpret_cast<sockaddr*>(&address), length) == 0 ? 0 : -errno;
}

void unbind_name(uint64_t) {}

int connect_name(int socket, uint64_t name) {
  sockaddr_un address;
  socklen_t length = address_of(name, &address);
  while (connect(socket, reinterpret_cast<sockaddr*>(&address), length) != 0)
    if (errno != EINTR) return -errno;
  return 0;
}

int peer_user(int connection, uid_t* out) {
  ucred peer;
  socklen_t length = sizeof peer;
  if (getsockopt(connection, SOL_SOCKET, SO_PEERCRED, &peer, &length) != 0) return -errno;
  *out = peer.uid;
  return 0;
}

}  // namespace multiproc::platform
