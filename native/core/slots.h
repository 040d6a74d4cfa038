// Who takes part: claiming slots, telling the living from the dead, and rings to event loops.
#pragma once
#include <mutex>
#include <unordered_map>

#include "core/root.h"

namespace multiproc {

/// Rings the event loops of other environments; one for each process.
///
///   releaser: ring(slot) → rung = 1 → its pipe (reopened once through the system)   → event loop
///                                   → else bell_count + wake → its helper thread    → event loop
class Ringer {
 public:
  explicit Ringer(Root& root) : root_(root) {}
  ~Ringer();
  /// An environment of this very process: no reopening.
  void add_local(uint32_t slot, int write_end);
  void remove_local(uint32_t slot);
  void ring(uint32_t slot);
  /// Rings one environment that is registered as waiting for the object, taking turns. False: there is none.
  bool ring_next(Offset object, uint32_t except = kSlots);
  void ring_all(Offset object);

  /// Around a fork: see Host.
  void freeze() { mutex_.lock(); }
  void thaw() { mutex_.unlock(); }
  /// In a forked child: it has no use for its parent's descriptors.
  void close_all();

 private:
  bool ring_directly(uint32_t slot);
  void forget_dead();

  Root& root_;
  std::mutex mutex_;
  std::unordered_map<uint32_t, int> local_;
  struct Opened {
    Owner owner;
    int descriptor;  ///< -1: cannot be opened
  };
  std::unordered_map<uint32_t, Opened> opened_;
};

/// Takes a free slot: kClaimed, with a new generation and everything else cleared.
uint32_t claim_slot(Root& root);
Owner owner_of(Root& root, uint32_t slot);
/// The helper thread of a process, by its slot, looks around.
void wake_helper(Slot& process);

/// Is the owner gone for good: reaped, or its process or thread ended? Errors never mean dead.
bool owner_dead(Root& root, Owner owner);
/// Has somebody put in order what the owner left, or is about to? Cheaper than owner_dead: asks no system.
bool owner_reaped(Root& root, Owner owner);
/// The life word of an owner says that it may have died.
bool life_ended(Root& root, Owner owner);
/// Waits for a definite answer about an owner whose life word was marked; some two seconds at the most.
bool confirm_dead(Root& root, Owner owner, const std::atomic<bool>* stop);

bool awaits(const Slot& slot, Offset object);
void add_await(Slot& slot, Offset object);
void remove_await(Slot& slot, Offset object);

}  // namespace multiproc
