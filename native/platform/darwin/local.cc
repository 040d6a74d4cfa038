// macOS local sockets: a file in a private folder of its own, which is removed when the process ends in
// order. Compiled, never run: no Mac was at hand.
#include "platform/posix/local.h"

#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <mutex>
#include <set>
#include <string>

#include "platform/platform.h"

namespace multiproc::platform {

namespace {
/// Short, since a socket's path has room for 103 characters; the folder of $TMPDIR takes half of them.
std::string folder_of(uint64_t name) {
  char path[60];
  snprintf(path, sizeof path, "/tmp/multiproc-%u-%016llx", static_cast<unsigned>(geteuid()),
           static_cast<unsigned long long>(name));
  return path;
}

std::mutex names_mutex;
std::set<uint64_t>* names = nullptr;  ///< never destroyed: the broker's thread runs until the very end

void remove_files(uint64_t name) {
  std::string folder = folder_of(name);
  unlink((folder + "/s").c_str());
  rmdir(folder.c_str());
}

void remove_all() {
  std::lock_guard<std::mutex> guard(names_mutex);
  for (uint64_t name : *names) remove_files(name);
}

int prepare_socket(int fd) {
  int on = 1;
  if (setsockopt(fd, SOL_SOCKET, SO_NOSIGPIPE, &on, sizeof on) == 0 && close_on_exec(fd) == 0) return fd;
  int error = -errno;
  close(fd);
  return error;
}

int address_of(uint64_t name, sockaddr_un* out) {
  *out = {};
  out->sun_family = AF_UNIX;
  std::string path = folder_of(name) + "/s";
  if (path.size() >= sizeof out->sun_path) return -ENAMETOOLONG;
  path.copy(out->sun_path, path.size());
  return 0;
}
}  // namespace

int make_socket() {
  int fd = socket(AF_UNIX, SOCK_STREAM, 0);
  return fd < 0 ? -errno : prepare_socket(fd);
}

int accept_socket(int listener) {
  int fd = accept(listener, nullptr, nullptr);
  return fd < 0 ? -errno : prepare_socket(fd);
}

int bind_name(int socket, uint64_t name) {
  sockaddr_un address;
  if (int error = address_of(name, &address); error < 0) return error;
  // Fails where anybody was first: the folder is ours or there is none.
  if (mkdir(folder_of(name).c_str(), 0700) != 0) return -errno;
  if (bind(socket, reinterpret_cast<sockaddr*>(&address), sizeof address) != 0) {
    int error = -errno;
    rmdir(folder_of(name).c_str());
    return error;
  }
  std::lock_guard<std::mutex> guard(names_mutex);
  if (names == nullptr) {
    names = new std::set<uint64_t>;
    atexit(remove_all);
  }
  names->insert(name);
  return 0;
}

void unbind_name(uint64_t name) {
  std::lock_guard<std::mutex> guard(names_mutex);
  names->erase(name);
  remove_files(name);
}

int connect_name(int socket, uint64_t name) {
  sockaddr_un address;
  if (int error = address_of(name, &address); error < 0) return error;
  while (connect(socket, reinterpret_cast<sockaddr*>(&address), sizeof address) != 0)
    if (errno != EINTR) return errno == EISCONN ? 0 : -errno;
  return 0;
}

int peer_user(int connection, uid_t* out) {
  gid_t group;
  return getpeereid(connection, out, &group) == 0 ? 0 : -errno;
}

}  // namespace multiproc::platform
