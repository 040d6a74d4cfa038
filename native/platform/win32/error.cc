#include "platform/win32/system.h"

namespace multiproc::platform {

int system_error(DWORD error) {
  switch (error) {
    case ERROR_SUCCESS:
      return -EIO;
    case ERROR_FILE_NOT_FOUND:
    case ERROR_PATH_NOT_FOUND:
      return -ENOENT;
    case ERROR_ACCESS_DENIED:
      return -EACCES;
    case ERROR_PRIVILEGE_NOT_HELD:
      return -EPERM;
    case ERROR_INVALID_HANDLE:
      return -EBADF;
    case ERROR_NOT_ENOUGH_MEMORY:
    case ERROR_OUTOFMEMORY:
    case ERROR_COMMITMENT_LIMIT:
    case ERROR_NO_SYSTEM_RESOURCES:
      return -ENOMEM;
    case ERROR_TOO_MANY_OPEN_FILES:
      return -EMFILE;
    case ERROR_ALREADY_EXISTS:
    case ERROR_FILE_EXISTS:
      return -EEXIST;
    case ERROR_DISK_FULL:
      return -ENOSPC;
    case ERROR_FILENAME_EXCED_RANGE:
      return -ENAMETOOLONG;
    case ERROR_PIPE_BUSY:
      return -EAGAIN;
    case ERROR_NO_DATA:
    case ERROR_BROKEN_PIPE:
    case ERROR_PIPE_NOT_CONNECTED:
      return -EPIPE;
    case ERROR_NOT_SUPPORTED:
    case ERROR_CALL_NOT_IMPLEMENTED:
      return -ENOTSUP;
    case WSAEWOULDBLOCK:
      return -EAGAIN;
    case WSAEINTR:
      return -EINTR;
    case WSAEADDRINUSE:
    case WSAEACCES:  // another has it for itself alone
      return -EADDRINUSE;
    case WSAEADDRNOTAVAIL:
      return -EADDRNOTAVAIL;
    case WSAECONNREFUSED:
      return -ECONNREFUSED;
    case WSAECONNRESET:
    case ERROR_NETNAME_DELETED:
      return -ECONNRESET;
    case WSAECONNABORTED:
      return -ECONNABORTED;
    case WSAESHUTDOWN:
      return -EPIPE;
    case WSAENOTCONN:
      return -ENOTCONN;
    case WSAETIMEDOUT:
    case ERROR_SEM_TIMEOUT:
      return -ETIMEDOUT;
    case WSAEHOSTUNREACH:
      return -EHOSTUNREACH;
    case WSAENETUNREACH:
      return -ENETUNREACH;
    case WSAEMFILE:
      return -EMFILE;
    default:
      return -EINVAL;
  }
}

}  // namespace multiproc::platform
