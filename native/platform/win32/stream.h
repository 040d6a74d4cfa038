// Listeners and connections of Windows, by TCP (socket.cc) or named pipes (pipe.cc).
//
//   system ─ overlapped read, one is always under way ─▶ in_ ──▶ read()       readable: in_ holds some, or it
//   ended write() ──▶ out_ ─ overlapped write, one at a time ─▶ system              writable: none is under
//   way
//
// A stream is known to others by the number of its event `readable`, so whatever waits for handles waits for
// it as well. Used by one thread at a time.
#pragma once
#include <memory>

#include "platform/platform.h"
#include "platform/win32/system.h"

namespace multiproc::platform {

class Stream {
 public:
  Stream();
  virtual ~Stream();
  Stream(const Stream&) = delete;
  Stream& operator=(const Stream&) = delete;

  /// As the functions of platform.h.
  virtual int connected() { return 1; }
  virtual int accept(std::unique_ptr<Stream>*) { return -EINVAL; }
  virtual int name(bool peer, SocketName* out) = 0;
  virtual int64_t read(void*, size_t) { return -ENOTCONN; }
  virtual int64_t write(const void*, size_t, const void*, size_t) { return -ENOTCONN; }

  HANDLE readable() const { return readable_; }
  HANDLE writable() const { return writable_; }

 protected:
  HANDLE readable_, writable_;
};

class Connection : public Stream {
 public:
  /// `handle`: a socket or a pipe.
  explicit Connection(HANDLE handle);
  int64_t read(void* into, size_t length) override;
  /// What the system does not take at once is under way when this returns 1, or -EAGAIN for a single byte.
  /// The next call is to have the rest of these bytes, and returns their number when they are written.
  int64_t write(const void* head, size_t head_length, const void* body, size_t body_length) override;

 protected:
  static constexpr DWORD kBuffer = 65536, kMargin = 16;

  /// Begin one. 0: it is under way, or done already; else an error of Windows.
  virtual DWORD begin_read(char* into, DWORD room) = 0;
  virtual DWORD begin_write(const char* bytes, DWORD length) = 0;
  virtual DWORD result_of(OVERLAPPED* overlapped, DWORD* bytes) = 0;
  /// So many bytes have come to in_ + kMargin: sets first_ and last_. 0: it was the end. Negative: an error.
  virtual int took(DWORD bytes, bool more) = 0;
  /// Fills out_ and out_length_. How many of the given bytes that is.
  virtual int64_t fill(const void* head, size_t head_length, const void* body, size_t body_length) = 0;

  void start_reading();
  bool make_room(size_t bytes);
  /// Before the handle is closed, and before anything of this object is gone.
  void cancel();

  const HANDLE handle_;
  OVERLAPPED reading_{}, writing_{};
  std::unique_ptr<char[]> in_, out_;
  DWORD first_ = kMargin, last_ = kMargin;
  DWORD out_length_ = 0;

 private:
  void end(int64_t why);
  int collect();

  bool reads_ = false, writes_ = false, ended_ = false;
  int64_t end_ = 0;  ///< 0: the end of the stream, else an error
  size_t owed_ = 0;  ///< bytes under way that the caller does not know to be written
  size_t out_room_ = 0;
};

/// -EAGAIN: as for socket_connect.
int pipe_connect(const SocketName& name, std::unique_ptr<Stream>* out);
int pipe_listen(const SocketName& name, int backlog, std::unique_ptr<Stream>* out);

}  // namespace multiproc::platform
