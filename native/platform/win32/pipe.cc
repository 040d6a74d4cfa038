// Named pipes, as CPython's multiprocessing.connection has them: a message of ours is one of the pipe's, and
// its length is not written before it. lib/ knows streams of bytes with lengths only, so the head of each
// message is taken off here, and put before what comes.
//
// A pipe is for this user only, and for this machine: nobody else can connect to it or be taken for it.
#include <algorithm>
#include <cstring>
#include <string>
#include <vector>

#include "platform/win32/stream.h"

namespace multiproc::platform {

namespace {

/// So many clients can come before accept() is called; others try again.
constexpr size_t kMostWaiting = 16;
constexpr DWORD kQuota = 65536;
constexpr size_t kLongestShort = 0x7fffffff;

std::wstring wide(const SocketName& name) {
  wchar_t text[sizeof name.text];
  const int length = MultiByteToWideChar(CP_UTF8, MB_ERR_INVALID_CHARS, name.text,
                                         static_cast<int>(name.length), text, sizeof name.text);
  return std::wstring(text, static_cast<size_t>(std::max(length, 0)));
}

class Pipe : public Connection {
 public:
  Pipe(HANDLE pipe, const SocketName& name) : Connection(pipe), name_(name) { start_reading(); }
  ~Pipe() override {
    cancel();
    CloseHandle(handle_);
  }

  int name(bool peer, SocketName* out) override {
    *out = name_;
    if (peer) out->length = 0;
    return 0;
  }

 protected:
  DWORD begin_read(char* into, DWORD room) override {
    if (ReadFile(handle_, into, room, nullptr, &reading_)) return 0;
    const DWORD error = GetLastError();
    if (error != ERROR_MORE_DATA) return error == ERROR_IO_PENDING ? 0 : error;
    SetEvent(readable_);
    return 0;
  }
  DWORD begin_write(const char* bytes, DWORD length) override {
    if (WriteFile(handle_, bytes, length, nullptr, &writing_)) return 0;
    const DWORD error = GetLastError();
    return error == ERROR_IO_PENDING ? 0 : error;
  }
  DWORD result_of(OVERLAPPED* overlapped, DWORD* bytes) override {
    return GetOverlappedResult(handle_, overlapped, bytes, FALSE) ? 0 : GetLastError();
  }
  int took(DWORD bytes, bool more) override;
  int64_t fill(const void* head, size_t head_length, const void* body, size_t body_length) override;

 private:
  const SocketName name_;
  uint64_t rest_ = 0;  ///< of the message that is coming
};

/// Before a message that begins comes its head: 4 bytes, or −1 and 8 bytes, as lib/socket/framing.ts has it.
int Pipe::took(DWORD bytes, bool more) {
  first_ = kMargin;
  last_ = kMargin + bytes;
  if (rest_ == 0) {
    DWORD left = 0;
    // It fails when the other end has gone: what is there of the message, and that there should be more.
    if (more && !PeekNamedPipe(handle_, nullptr, 0, nullptr, nullptr, &left)) left = 1;
    rest_ = uint64_t{bytes} + left;
    const DWORD digits = rest_ <= kLongestShort ? 4 : 8;
    for (DWORD i = 0; i < digits; i++) in_[--first_] = static_cast<char>(rest_ >> 8 * i);
    if (digits == 8) memset(in_.get() + (first_ -= 4), 0xff, 4);
  }
  if (more ? rest_ <= bytes : rest_ != bytes) return -EIO;
  rest_ -= bytes;
  return 1;
}

/// Only whole messages come here: what is under way is the base's business.
int64_t Pipe::fill(const void*, size_t head_length, const void* body, size_t body_length) {
  if (body_length > 0xffffffff) return -EMSGSIZE;
  if (!make_room(std::max<size_t>(body_length, 1))) return -ENOMEM;
  if (body_length > 0) memcpy(out_.get(), body, body_length);
  out_length_ = static_cast<DWORD>(body_length);
  return static_cast<int64_t>(head_length + body_length);
}

/// Full access for this user, none for anybody else.
class OnlyThisUser {
 public:
  OnlyThisUser() {
    HANDLE token;
    if (!OpenProcessToken(GetCurrentProcess(), TOKEN_QUERY, &token)) return;
    Handle owned(token);
    alignas(TOKEN_USER) char user[sizeof(TOKEN_USER) + SECURITY_MAX_SID_SIZE];
    DWORD length;
    ACL* list = reinterpret_cast<ACL*>(list_);
    valid_ = GetTokenInformation(token, TokenUser, user, sizeof user, &length) &&
             InitializeAcl(list, sizeof list_, ACL_REVISION) &&
             AddAccessAllowedAce(list, ACL_REVISION, FILE_ALL_ACCESS,
                                 reinterpret_cast<TOKEN_USER*>(user)->User.Sid) &&
             InitializeSecurityDescriptor(&descriptor_, SECURITY_DESCRIPTOR_REVISION) &&
             SetSecurityDescriptorDacl(&descriptor_, TRUE, list, FALSE);
  }
  OnlyThisUser(const OnlyThisUser&) = delete;
  OnlyThisUser& operator=(const OnlyThisUser&) = delete;
  /// nullptr: it could not be found out who that is.
  SECURITY_ATTRIBUTES* attributes() { return valid_ ? &attributes_ : nullptr; }

 private:
  alignas(ACL) char list_[sizeof(ACL) + sizeof(ACCESS_ALLOWED_ACE) + SECURITY_MAX_SID_SIZE];
  SECURITY_DESCRIPTOR descriptor_;
  SECURITY_ATTRIBUTES attributes_{sizeof(SECURITY_ATTRIBUTES), &descriptor_, FALSE};
  bool valid_ = false;
};

/// One instance of the pipe for each client that may come, all with the same event.
class PipeListener : public Stream {
 public:
  PipeListener(const SocketName& name, int backlog)
      : name_(name), wide_(wide(name)), wanted_(std::min(static_cast<size_t>(backlog), kMostWaiting)) {}
  ~PipeListener() override {
    for (auto& each : instances_) discard(*each);
  }

  int open() {
    if (wide_.empty()) return -EINVAL;
    const int error = add(FILE_FLAG_FIRST_PIPE_INSTANCE);
    if (error == 0) top_up();
    // Who has the name has it for himself.
    return error == -EACCES || error == -EAGAIN ? -EADDRINUSE : error;
  }

  int accept(std::unique_ptr<Stream>* out) override;
  int name(bool, SocketName* out) override {
    *out = name_;
    return 0;
  }

 private:
  struct Instance {
    HANDLE pipe;
    OVERLAPPED connecting;
    bool waits;  ///< the system has its OVERLAPPED
  };

  int add(DWORD flags);
  int top_up() {
    int error = 0;
    while (error == 0 && instances_.size() < wanted_) error = add(0);
    return instances_.empty() ? error : 0;
  }
  static void discard(Instance& each) {
    CancelIoEx(each.pipe, nullptr);
    while (each.waits && !HasOverlappedIoCompleted(&each.connecting))
      WaitForSingleObject(each.connecting.hEvent, 1);
    CloseHandle(each.pipe);
  }

  const SocketName name_;
  const std::wstring wide_;
  const size_t wanted_;
  std::vector<std::unique_ptr<Instance>> instances_;
};

int PipeListener::add(DWORD flags) {
  OnlyThisUser user;
  if (user.attributes() == nullptr) return last_error();
  HANDLE pipe =
      CreateNamedPipeW(wide_.c_str(), PIPE_ACCESS_DUPLEX | FILE_FLAG_OVERLAPPED | flags,
                       PIPE_TYPE_MESSAGE | PIPE_READMODE_MESSAGE | PIPE_WAIT | PIPE_REJECT_REMOTE_CLIENTS,
                       PIPE_UNLIMITED_INSTANCES, kQuota, kQuota, 0, user.attributes());
  if (pipe == INVALID_HANDLE_VALUE) return last_error();
  auto instance = std::make_unique<Instance>(Instance{pipe, {}, false});
  instance->connecting.hEvent = readable_;
  if (!ConnectNamedPipe(pipe, &instance->connecting)) {
    const DWORD error = GetLastError();
    instance->waits = error == ERROR_IO_PENDING;
    // Somebody has come meanwhile, and may have gone again, having sent something.
    if (!instance->waits && error != ERROR_PIPE_CONNECTED && error != ERROR_NO_DATA) {
      CloseHandle(pipe);
      return system_error(error);
    }
  }
  instances_.push_back(std::move(instance));
  // Beginning has reset the event, and others may have been connected before.
  SetEvent(readable_);
  return 0;
}

int PipeListener::accept(std::unique_ptr<Stream>* out) {
  for (;;) {
    ResetEvent(readable_);
    auto found = std::find_if(instances_.begin(), instances_.end(), [](const auto& each) {
      return !each->waits || HasOverlappedIoCompleted(&each->connecting);
    });
    if (found == instances_.end()) {
      const int error = instances_.size() < wanted_ ? top_up() : 0;
      return error != 0 ? error : -EAGAIN;
    }
    std::unique_ptr<Instance> instance = std::move(*found);
    instances_.erase(found);
    // Before the client is ours: at no time is there a moment without an instance for the next one.
    top_up();
    SetEvent(readable_);
    DWORD none = 0;
    if (instance->waits && !GetOverlappedResult(instance->pipe, &instance->connecting, &none, FALSE)) {
      discard(*instance);
      continue;
    }
    *out = std::make_unique<Pipe>(instance->pipe, name_);
    return 0;
  }
}

}  // namespace

int pipe_listen(const SocketName& name, int backlog, std::unique_ptr<Stream>* out) {
  auto listener = std::make_unique<PipeListener>(name, backlog);
  const int error = listener->open();
  if (error == 0) *out = std::move(listener);
  return error;
}

int pipe_connect(const SocketName& name, std::unique_ptr<Stream>* out) {
  // Whoever has made the pipe may ask who we are, and not act as us.
  HANDLE pipe = CreateFileW(wide(name).c_str(), GENERIC_READ | GENERIC_WRITE, 0, nullptr, OPEN_EXISTING,
                            FILE_FLAG_OVERLAPPED | SECURITY_SQOS_PRESENT | SECURITY_IDENTIFICATION, nullptr);
  if (pipe == INVALID_HANDLE_VALUE) return last_error();
  DWORD mode = PIPE_READMODE_MESSAGE;
  if (!SetNamedPipeHandleState(pipe, &mode, nullptr, nullptr)) {
    CloseHandle(pipe);
    return -EPROTO;  // one without messages: not a Listener's
  }
  *out = std::make_unique<Pipe>(pipe, name);
  return 0;
}

}  // namespace multiproc::platform
