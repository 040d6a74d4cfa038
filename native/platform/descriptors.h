// Open files as they travel between processes: local sockets that carry them, and copies of descriptors.
//
// As in platform.h: functions that can fail return a negated errno, and nothing throws. Where a system has no
// such thing, all of them answer -ENOTSUP.
#pragma once
#include <cstddef>
#include <cstdint>

namespace multiproc::platform {

/// Listens under a name that nobody else has; accept does not block. Returns the descriptor.
int local_listen(uint64_t name);
/// Undoes local_listen.
void local_unlisten(uint64_t name, int listener);
/// The next connection, whose calls do not block. -EPERM: somebody of another user was sent away.
int local_accept(int listener);
/// A connection whose calls end with -ETIMEDOUT. -ECONNREFUSED: nobody listens; -EPERM: another user does.
int local_connect(uint64_t name, int64_t timeout_ns);
/// Sends all bytes at once, with a copy of a descriptor unless that is negative.
int local_send(int connection, const void* bytes, size_t length, int descriptor);
/// Receives a message of exactly this length, and the descriptor that came with it (else -1). -EPROTO:
/// another length; -EMFILE: a descriptor came and there is no room for it.
int local_receive(int connection, void* bytes, size_t length, int* descriptor);
/// Blocks until one of the descriptors can be read (or accepted from, or has ended) or the time is over.
int local_wait(const int* descriptors, size_t count, bool* ready, int timeout_ms);

/// A copy that is closed on exec, of the same open file. -EBADF: there is none.
int descriptor_copy(int descriptor);
/// Makes `to` the open file behind `from`, which is closed.
int descriptor_move(int from, int to);
void descriptor_close(int descriptor);

}  // namespace multiproc::platform
