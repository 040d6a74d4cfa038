// IP addresses as the system's functions take them: the same on all systems, but for the headers.
#pragma once
#ifdef _WIN32
#include "platform/win32/system.h"
// After winsock2.h.
#include <ws2tcpip.h>
#else
#include <netdb.h>
#include <netinet/in.h>
#include <sys/socket.h>
#endif

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "platform/platform.h"

namespace multiproc::platform {

struct Address {
  sockaddr_storage storage{};
  socklen_t length = 0;
  sockaddr* get() { return reinterpret_cast<sockaddr*>(&storage); }
};

inline int ip_address(const SocketName& name, Address* out) {
  addrinfo hints{};
  hints.ai_socktype = SOCK_STREAM;
  hints.ai_flags = AI_NUMERICHOST | AI_NUMERICSERV;
  char port[16];
  snprintf(port, sizeof port, "%d", name.port);
  addrinfo* found = nullptr;
  if (getaddrinfo(name.text, port, &hints, &found) != 0) return -EINVAL;
  memcpy(&out->storage, found->ai_addr, found->ai_addrlen);
  out->length = static_cast<socklen_t>(found->ai_addrlen);
  freeaddrinfo(found);
  return 0;
}

inline int ip_name(Address& address, SocketName* out) {
  char port[16];
  if (getnameinfo(address.get(), address.length, out->text, sizeof out->text, port, sizeof port,
                  NI_NUMERICHOST | NI_NUMERICSERV) != 0)
    return -EINVAL;
  out->length = strlen(out->text);
  out->port = atoi(port);
  return 0;
}

inline size_t ip_addresses(const char* host, SocketName* out, size_t room) {
  addrinfo hints{};
  hints.ai_socktype = SOCK_STREAM;
  addrinfo* found = nullptr;
  if (getaddrinfo(host, nullptr, &hints, &found) != 0) return 0;
  size_t count = 0;
  for (addrinfo* each = found; each != nullptr && count < room; each = each->ai_next) {
    SocketName& name = out[count];
    if (getnameinfo(each->ai_addr, static_cast<socklen_t>(each->ai_addrlen), name.text, sizeof name.text,
                    nullptr, 0, NI_NUMERICHOST) != 0)
      continue;
    name.length = strlen(name.text);
    name.port = 0;
    count++;
  }
  freeaddrinfo(found);
  return count;
}

}  // namespace multiproc::platform
