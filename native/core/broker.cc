#include "core/broker.h"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <random>

#include "core/error.h"
#include "platform/descriptors.h"

namespace multiproc {

namespace {

constexpr int64_t kKeepNs = int64_t{500} * 1000000;
/// How long a connection may stay. A fetcher leaves once it has what it came for.
constexpr uint64_t kStayNs = uint64_t{5} * 1000000000;
constexpr size_t kMostPeers = 200;
constexpr int kLookMs = 1000;

enum class Verb : uint32_t { kFetch = 0x6d706631, kKeep = 0x6d706b31 };

struct Request {
  Verb verb;
  uint32_t generation;
  Offset block;
  Token token;
};
static_assert(sizeof(Request) == 32, "the same in all builds");

struct Reply {
  int32_t error;  ///< negated errno
};

/// Takes as long for a wrong token, wherever it is wrong.
bool same(const Token& a, const Token& b) {
  uint8_t differences = 0;
  for (size_t i = 0; i < a.size(); i++) differences |= a[i] ^ b[i];
  return differences == 0;
}

int talk_once(uint64_t name, const Request& request, int send, int64_t timeout_ns, int* got,
              int* connection) {
  int peer = platform::local_connect(name, timeout_ns);
  if (peer < 0) return peer;
  Reply reply{};
  int error = platform::local_send(peer, &request, sizeof request, send);
  if (error == 0) error = platform::local_receive(peer, &reply, sizeof reply, got);
  if (error == 0) error = reply.error;
  if (error == 0) {
    *connection = peer;
    return 0;
  }
  platform::descriptor_close(peer);
  if (*got >= 0) platform::descriptor_close(*got);
  return error;
}

int talk(uint64_t name, const Request& request, int send, int64_t timeout_ns, int* got, int* connection) {
  int error = 0;
  for (int i = 0; i < 5; i++) {
    error = talk_once(name, request, send, timeout_ns, got, connection);
    // It ended just now, which the next attempt will tell; or we had to give way to a crowd.
    if (error != -ECONNRESET && error != -EPIPE) return error;
  }
  return error;
}

}  // namespace

Broker::Broker(std::function<bool(const Kept&)> expected, std::function<void()> changed)
    : expected_(std::move(expected)), changed_(std::move(changed)) {
  std::random_device random;
  platform::Bell unused;
  int error = -EADDRINUSE;
  while (error == -EADDRINUSE || error == -EEXIST) {
    name_ = uint64_t{random()} << 32 | random();
    if (name_ >> 32 == 0) continue;  // small numbers are not names, see core/descriptors.cc
    error = listener_ = platform::local_listen(name_);
  }
  check_system(error, "listen");
  error = platform::bell_create(&unused, &bell_[0], &bell_[1]);
  if (error == 0) error = reserve_ = platform::descriptor_copy(listener_);
  if (error >= 0) {
    try {
      thread_ = std::thread([this] { serve(); });
      return;
    } catch (...) {
      error = -EAGAIN;
    }
  }
  if (reserve_ >= 0) platform::descriptor_close(reserve_);
  platform::bell_close(bell_[0], bell_[1]);
  platform::local_unlisten(name_, listener_);
  throw SystemError{-error, "listen"};
}

Broker::~Broker() {
  stop_.store(true);
  platform::bell_ring(bell_[1]);
  thread_.join();
  platform::local_unlisten(name_, listener_);
  if (reserve_ >= 0) platform::descriptor_close(reserve_);
  platform::bell_close(bell_[0], bell_[1]);
  for (Peer& peer : peers_) platform::descriptor_close(peer.connection);
  for (Kept& kept : kept_) platform::descriptor_close(kept.descriptor);
}

// ---- what is kept
// -------------------------------------------------------------------------------------------------

void Broker::keep(const Kept& kept) {
  bool first;
  {
    std::lock_guard<std::mutex> guard(mutex_);
    first = kept_.empty();
    kept_.push_back(kept);
  }
  if (first) changed_();
}

size_t Broker::size() const {
  std::lock_guard<std::mutex> guard(mutex_);
  return kept_.size();
}

void Broker::close_unless(const std::function<bool(const Kept&)>& needed) {
  std::vector<Kept> seen;
  {
    std::lock_guard<std::mutex> guard(mutex_);
    seen = kept_;
  }
  std::vector<int> gone;
  for (const Kept& kept : seen)
    if (!needed(kept)) gone.push_back(kept.descriptor);
  if (gone.empty()) return;
  // Only one thread closes, so a descriptor still means what it meant above.
  std::lock_guard<std::mutex> guard(mutex_);
  auto ended = std::remove_if(kept_.begin(), kept_.end(), [&](const Kept& kept) {
    if (std::find(gone.begin(), gone.end(), kept.descriptor) == gone.end()) return false;
    platform::descriptor_close(kept.descriptor);
    return true;
  });
  kept_.erase(ended, kept_.end());
}

std::vector<Broker::Kept> Broker::all() const {
  std::lock_guard<std::mutex> guard(mutex_);
  std::vector<Kept> copies;
  for (Kept kept : kept_)
    if ((kept.descriptor = platform::descriptor_copy(kept.descriptor)) >= 0) copies.push_back(kept);
  return copies;
}

// ---- forking
// ----------------------------------------------------------------------------------------------------------

void Broker::freeze() {
  turn_.lock();
  mutex_.lock();
}

void Broker::thaw() {
  mutex_.unlock();
  turn_.unlock();
}

void Broker::abandon() {
  for (int descriptor : {listener_, reserve_})
    if (descriptor >= 0) platform::descriptor_close(descriptor);
  platform::bell_close(bell_[0], bell_[1]);
  for (Peer& peer : peers_) platform::descriptor_close(peer.connection);
  for (Kept& kept : kept_) platform::descriptor_close(kept.descriptor);
}

// ---- the thread
// ---------------------------------------------------------------------------------------------------

void Broker::serve() {
  thread_id_.store(platform::current_thread());
  std::vector<int> watched;
  bool ready[kMostPeers + 2];
  std::unique_lock<std::mutex> turn(turn_);
  while (!stop_.load()) {
    // Without a descriptor left, whoever knocks waits until a connection has ended.
    const bool admitting = reserve_ >= 0 || peers_.empty();
    watched.assign({bell_[0], admitting ? listener_ : bell_[0]});
    for (const Peer& peer : peers_) watched.push_back(peer.connection);
    const int limit = peers_.empty() ? -1 : kLookMs;
    turn.unlock();
    if (platform::local_wait(watched.data(), watched.size(), ready, limit) < 0) platform::nap(1000000);
    turn.lock();
    const uint64_t now = platform::now_ns();
    bool ended = false;
    for (size_t i = watched.size(); i-- > 2;) {
      Peer& peer = peers_[i - 2];
      if (ready[i] ? answer(peer) : now - peer.since < kStayNs) continue;
      dismiss(i - 2);
      ended = true;
    }
    if (ended) changed_();
    if (admitting && ready[1]) admit();
  }
}

void Broker::dismiss(size_t index) {
  platform::descriptor_close(peers_[index].connection);
  peers_.erase(peers_.begin() + static_cast<std::ptrdiff_t>(index));
  if (reserve_ < 0) reserve_ = platform::descriptor_copy(listener_);
}

void Broker::admit() {
  int connection = platform::local_accept(listener_);
  if ((connection == -EMFILE || connection == -ENFILE) && reserve_ >= 0) {
    platform::descriptor_close(reserve_);
    reserve_ = -1;
    connection = platform::local_accept(listener_);
  }
  if (connection < 0) {
    if (reserve_ < 0) reserve_ = platform::descriptor_copy(listener_);
    if (reserve_ < 0) platform::nap(1000000);  // it is ready for ever, and we cannot take it
    return;
  }
  if (peers_.size() == kMostPeers) dismiss(0);
  peers_.push_back({connection, platform::now_ns()});
}

bool Broker::answer(Peer& peer) {
  Request request;
  int came;
  if (platform::local_receive(peer.connection, &request, sizeof request, &came) != 0) return false;
  const Kept kept{request.token, request.block, request.generation, came};
  if (request.verb == Verb::kKeep && came >= 0 && expected_(kept)) {
    keep(kept);
    Reply reply{0};
    return platform::local_send(peer.connection, &reply, sizeof reply, -1) == 0;
  }
  if (came >= 0) platform::descriptor_close(came);
  if (request.verb != Verb::kFetch) return false;
  std::lock_guard<std::mutex> guard(mutex_);
  auto found =
      std::find_if(kept_.begin(), kept_.end(), [&](const Kept& k) { return same(k.token, request.token); });
  Reply reply{found == kept_.end() ? -ENOENT : 0};
  int descriptor = found == kept_.end() ? -1 : found->descriptor;
  return platform::local_send(peer.connection, &reply, sizeof reply, descriptor) == 0;
}

// ---- the other side
// -----------------------------------------------------------------------------------------------

int broker_fetch(uint64_t name, const Token& token, int64_t timeout_ns, int* connection) {
  Request request{Verb::kFetch, 0, 0, token};
  int descriptor = -1;
  int error = talk(name, request, -1, timeout_ns, &descriptor, connection);
  if (error < 0) return error;
  if (descriptor >= 0) return descriptor;
  platform::descriptor_close(*connection);
  return -EPROTO;
}

int broker_keep(uint64_t name, const Broker::Kept& kept) {
  Request request{Verb::kKeep, kept.generation, kept.block, kept.token};
  int connection = -1, nothing = -1;
  int error = talk(name, request, kept.descriptor, kKeepNs, &nothing, &connection);
  if (error < 0) return error;
  if (nothing >= 0) platform::descriptor_close(nothing);
  platform::descriptor_close(connection);
  return 0;
}

}  // namespace multiproc
