// Keeps copies of descriptors that were sent, and hands them to whoever knows their token.
//
//   broker thread ── polls {own bell, listener, connections}
//     fetch {token}        → the descriptor, as often as it is asked for
//     keep  {token, block} + descriptor → kept here, too (core/descriptors.h says why)
//     end of a connection  → `changed`: its message may have been the last that needed the descriptor
//   the first one that is kept → `changed`: somebody has to look from now on
//   other threads ── keep(), close_unless(), all(): under the mutex
//   around a fork ── freeze(), then thaw() or, in the child, abandon()
//
// Whoever connects is of this user (platform::local_accept) and has one request at a time, of one length;
// anything else ends the connection. When there are too many, the oldest one has to go.
#pragma once
#include <array>
#include <atomic>
#include <functional>
#include <mutex>
#include <thread>
#include <vector>

#include "core/layout.h"

namespace multiproc {

using Token = std::array<uint8_t, 16>;

class Broker {
 public:
  struct Kept {
    Token token;
    Offset block;  ///< the descriptor is kept for as long as this block lives
    uint32_t generation;
    int descriptor;
  };

  /// Starts the thread, with the signal mask of the caller. `expected`: is this, which another process sent,
  /// really to be kept here? Both functions are called by any thread. Throws SystemError.
  Broker(std::function<bool(const Kept&)> expected, std::function<void()> changed);
  ~Broker();
  Broker(const Broker&) = delete;
  Broker& operator=(const Broker&) = delete;

  /// By which other processes find it.
  uint64_t name() const { return name_; }
  /// The descriptor is the broker's from now on.
  void keep(const Kept& kept);
  size_t size() const;
  /// Closes all that nobody needs any more. `needed` is called without the mutex.
  void close_unless(const std::function<bool(const Kept&)>& needed);
  /// What is kept, with copies of the descriptors, which are the caller's.
  std::vector<Kept> all() const;

  /// Around a fork: its thread is not in the midst of anything.
  void freeze();
  void thaw();
  /// In a forked child, instead of thaw(): gives up all descriptors. Never to be used or destroyed again.
  void abandon();
  /// 0: it has not begun yet.
  uint32_t thread_id() const { return thread_id_.load(); }

 private:
  struct Peer {
    int connection;
    uint64_t since;
  };
  void serve();
  void admit();
  /// False: the connection is to be closed.
  bool answer(Peer& peer);
  void dismiss(size_t index);

  const std::function<bool(const Kept&)> expected_;
  const std::function<void()> changed_;
  uint64_t name_ = 0;
  int listener_ = -1;
  int reserve_ = -1;  ///< given up for a connection when there are no more descriptors
  int bell_[2] = {-1, -1};
  std::atomic<bool> stop_{false};
  std::atomic<uint32_t> thread_id_{0};
  std::mutex turn_;           ///< held by the thread but while it polls; taken before mutex_
  mutable std::mutex mutex_;  ///< kept_
  std::vector<Kept> kept_;
  std::vector<Peer> peers_;  ///< the thread's
  std::thread thread_;
};

/// The descriptor with this token, kept by the broker of this name. `*connection` stays open: its end tells
/// the broker that the message is done with. Returns a negated errno: -ECONNREFUSED: there is no such broker
/// (any more); -ENOENT: it does not have it; -EMFILE: no room for it here; -ETIMEDOUT.
int broker_fetch(uint64_t name, const Token& token, int64_t timeout_ns, int* connection);
/// Gives a copy to the broker of this name. Returns 0 or a negated errno.
int broker_keep(uint64_t name, const Broker::Kept& kept);

}  // namespace multiproc
