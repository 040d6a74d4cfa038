// Names and peers of local sockets: where Linux and macOS differ. See posix/descriptors.cc.
#pragma once
#include <sys/types.h>

#include <cstdint>

namespace multiproc::platform {

/// A blocking stream socket that is closed on exec and raises no SIGPIPE.
int make_socket();
int accept_socket(int listener);
int bind_name(int socket, uint64_t name);
void unbind_name(uint64_t name);
/// -EAGAIN: the time limit of the socket is over.
int connect_name(int socket, uint64_t name);
int peer_user(int connection, uid_t* out);

}  // namespace multiproc::platform
