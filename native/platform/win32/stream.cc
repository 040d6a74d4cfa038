#include "platform/win32/stream.h"

#include <algorithm>
#include <cstring>
#include <new>

namespace multiproc::platform {

namespace {

/// A buffer that was larger than this is not kept.
constexpr size_t kKept = size_t{1} << 20;

bool is_end(DWORD error) {
  return error == ERROR_BROKEN_PIPE || error == ERROR_PIPE_NOT_CONNECTED || error == ERROR_NO_DATA ||
         error == ERROR_HANDLE_EOF;
}

}  // namespace

Stream::Stream()
    : readable_(CreateEventW(nullptr, TRUE, FALSE, nullptr)),
      writable_(CreateEventW(nullptr, TRUE, TRUE, nullptr)) {}

Stream::~Stream() {
  CloseHandle(readable_);
  CloseHandle(writable_);
}

Connection::Connection(HANDLE handle) : handle_(handle), in_(new (std::nothrow) char[kMargin + kBuffer]) {
  reading_.hEvent = readable_;
  writing_.hEvent = writable_;
}

void Connection::cancel() {
  CancelIoEx(handle_, nullptr);
  for (OVERLAPPED* each : {reads_ ? &reading_ : nullptr, writes_ ? &writing_ : nullptr})
    while (each != nullptr && !HasOverlappedIoCompleted(each)) WaitForSingleObject(each->hEvent, 10);
}

// ---- reading
// --------------------------------------------------------------------------------------------------

void Connection::end(int64_t why) {
  ended_ = true;
  end_ = why;
  SetEvent(readable_);
}

void Connection::start_reading() {
  first_ = last_ = kMargin;
  if (in_ == nullptr) return end(-ENOMEM);
  const DWORD error = begin_read(in_.get() + kMargin, kBuffer);
  reads_ = error == 0;
  if (!reads_) end(is_end(error) ? 0 : system_error(error));
}

/// What the read under way has brought. -EAGAIN: nothing yet.
int Connection::collect() {
  if (!HasOverlappedIoCompleted(&reading_)) return -EAGAIN;
  DWORD bytes = 0;
  const DWORD error = result_of(&reading_, &bytes);
  reads_ = false;
  const bool more = error == ERROR_MORE_DATA;
  if (error != 0 && !more) {
    end(is_end(error) ? 0 : system_error(error));
    return 0;
  }
  const int result = took(bytes, more);
  if (result <= 0) end(result);
  return 0;
}

int64_t Connection::read(void* into, size_t length) {
  for (;;) {
    if (first_ < last_) {
      const DWORD n = static_cast<DWORD>(std::min<size_t>(length, last_ - first_));
      memcpy(into, in_.get() + first_, n);
      first_ += n;
      if (first_ == last_ && !ended_) start_reading();
      return n;
    }
    if (ended_) return end_;
    if (!reads_)
      start_reading();
    else if (collect() != 0)
      return -EAGAIN;
  }
}

// ---- writing
// --------------------------------------------------------------------------------------------------

bool Connection::make_room(size_t bytes) {
  if (bytes <= out_room_) return true;
  out_.reset(new (std::nothrow) char[bytes]);
  out_room_ = out_ == nullptr ? 0 : bytes;
  return out_ != nullptr;
}

int64_t Connection::write(const void* head, size_t head_length, const void* body, size_t body_length) {
  DWORD bytes = 0;
  if (writes_) {
    if (!HasOverlappedIoCompleted(&writing_)) return -EAGAIN;
    writes_ = false;
    const DWORD error = result_of(&writing_, &bytes);
    if (error != 0) return is_end(error) ? -EPIPE : system_error(error);
    if (bytes != out_length_) return -EIO;
    if (out_room_ > kKept) {
      out_.reset();
      out_room_ = 0;
    }
    return static_cast<int64_t>(owed_);
  }
  const int64_t taken = fill(head, head_length, body, body_length);
  if (taken < 0) return taken;
  if (const DWORD error = begin_write(out_.get(), out_length_); error != 0)
    return is_end(error) ? -EPIPE : system_error(error);
  writes_ = true;
  if (HasOverlappedIoCompleted(&writing_)) {
    owed_ = static_cast<size_t>(taken);
    return write(nullptr, 0, nullptr, 0);
  }
  const size_t told = taken > 1 ? 1 : 0;
  owed_ = static_cast<size_t>(taken) - told;
  return told != 0 ? 1 : -EAGAIN;
}

}  // namespace multiproc::platform
