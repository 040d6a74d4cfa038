// This process's part in the root: its slot, its environments, and the helper thread that stands for it.
//
//   helper thread   sleeps on {own bell, life words of the next two processes and of the parent}
//                     bell:  rings the loops of local environments whose `rung` is set but whose pipe nobody
//                     reached life:  confirms the death, reaps, and looks for new neighbours
//                   every 100 ms while promises wait here: looks whether what they wait for can be had after
//                   all; while descriptors are kept here: closes those that nobody needs any more
//   environments    one a Node thread, each an owner of its own, with a bell that its event loop polls
//
// The helper's end, seen by the kernel, marks the life words of all slots of the process (see platform.h).
#pragma once
#include <atomic>
#include <memory>
#include <mutex>
#include <thread>
#include <unordered_map>
#include <vector>

#include "core/descriptors.h"
#include "core/heap.h"

namespace multiproc {

class Host;

/// A Node thread as an owner. Used by that thread only, but for `awaited`, which the helper reads.
class Environment {
 public:
  ~Environment();
  Owner me() const { return me_; }
  uint32_t slot() const { return slot_of(me_); }
  Root& root() const;
  Host& host() const { return host_; }
  /// The end of the doorbell that the event loop polls.
  int bell() const { return read_end_; }
  Actor actor(bool (*interrupted)(void*) = nullptr, void* data = nullptr) const;

  /// Registers as an asynchronous waiter; the helper looks after it from now on. Registering twice counts
  /// once.
  void await(Offset object);
  void unawait(Offset object);
  /// The same for a cell of a kSync object, whose granter rings its owner by name.
  void await_cell(Offset cell);
  void unawait_cell(Offset cell);
  /// The same for a side of a channel, until its signal is no longer what was `seen`. False: it is not any
  /// more.
  bool await_side(Offset side, uint32_t seen);
  void unawait_side(Offset side);
  /// Called by the loop when the bell rings, before it looks at what it waits for.
  void answer_ring();

 private:
  friend class Host;
  Environment(Host& host, uint32_t slot);
  void open_bell();
  Host& host_;
  Owner me_;
  bool settled_ = false;
  int read_end_ = -1;
  int write_end_ = -1;
  struct Awaited {
    enum { kLock, kCell, kSide } what;
    uint32_t seen;  ///< kSide
  };
  bool start_awaiting(Offset object, Awaited what);
  bool stop_awaiting(Offset object);
  std::unordered_map<Offset, Awaited> awaited_;
};

class Host {
 public:
  /// Makes a root, or adopts the one behind an inherited handle.
  explicit Host(std::unique_ptr<Root> root);
  ~Host();
  Host(const Host&) = delete;
  Host& operator=(const Host&) = delete;

  Root& root() { return *root_; }
  Ringer& ringer() { return ringer_; }
  Descriptors& descriptors() { return descriptors_; }
  Owner me() const { return me_; }

  /// A new environment of this process, in a slot of its own or in the one its parent reserved.
  std::unique_ptr<Environment> enter(uint32_t node_thread);
  std::unique_ptr<Environment> enter_reserved(uint32_t node_thread, uint32_t slot, uint32_t generation);

  /// The slot of a child about to start; `deliver` hands it a block that it then holds.
  Owner reserve_child();
  /// Gives the slot back unless the child has taken it over.
  void release_child(Owner child);

  /// The parent ends in order: the child may go on alone. Waits until it has taken its slot and its
  /// delivery, at most `timeout_ns`.
  void let_go(Owner child, int64_t timeout_ns);

  /// In a child: from now on the helper watches the process that started it. When that has ended without
  /// letting go, this process is ended, too: a daemon at once, any other after `grace_ms`. The environment is
  /// rung.
  void follow(Owner parent, Environment& environment, bool daemon, uint32_t grace_ms);
  bool parent_ended() const { return parent_ended_.load(); }
  /// The same, asked of the system now.
  bool parent_dead();

  /// Around a fork: no thread of this host is in the midst of what the child inherits.
  void freeze();
  void thaw();
  /// In a forked child, instead of thaw(): this host is the parent's and must never be used or destroyed
  /// again. Its root is the child's, too; its descriptors are closed here.
  std::unique_ptr<Root> abandon();
  /// The helper's and the broker's.
  std::vector<uint32_t> threads() const;
  /// The process that started this one, while it is there; else 0.
  Owner parent();

  /// Puts everything in order that a dead process left, or the owner of one slot whose state was `seen`.
  /// Idempotent; anybody may.
  void reap_process(Owner process);
  void reap_slot(uint32_t slot, uint32_t seen);

 private:
  friend class Environment;
  std::unique_ptr<Environment> settle(uint32_t slot, uint32_t node_thread);
  void fill_slot(uint32_t slot, Owner process, uint32_t node_thread);
  void leave(Environment& environment);
  void help();
  void help_once(uint32_t seen, uint64_t* looked);
  int64_t look_after_parent();
  void find_neighbours(Owner neighbours[2]);
  void reap_unfinished();
  void tell_neighbours();
  void look_after_awaited();
  void ring_locals();

  std::unique_ptr<Root> root_;
  Ringer ringer_;
  Descriptors descriptors_;
  Owner me_ = 0;
  uint32_t thread_id_ = 0;
  std::mutex mutex_;  ///< environments_, their awaited_, life list
  std::vector<Environment*> environments_;
  struct Parent {
    Owner owner = 0;  ///< 0: nobody to watch
    uint32_t pid = 0;
    uint64_t start_time = 0;
    uint32_t child_slot = 0;
    bool daemon = false;
    uint32_t grace_ms = 0;
    uint64_t end_at = 0;  ///< when this process is to be ended; 0: not at all
    uint32_t polls = 0;
  } parent_;
  std::atomic<bool> parent_ended_{false};
  std::atomic<bool> stop_{false};
  std::atomic<bool> ready_{false};
  std::atomic<uint32_t> awaiting_{0};
  std::thread helper_;
};

}  // namespace multiproc
