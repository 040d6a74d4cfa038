// Threads that wait for each other for ever.
//
// Who has been blocked without a time-out for a while says in its slot what it waits for. A thread is stuck
// if all who could end its wait are stuck: what is left when those who are not have been taken away, again
// and again, can never go on. One in a circle of such threads, that of the highest slot, gets an error that
// tells the whole story.
#pragma once
#include "core/heap.h"

namespace multiproc {

/// What a thread is blocked in.
enum class Blocked : uint32_t {
  kNot,
  kLock,     ///< any holder of a plain lock's memory may release it
  kOwned,    ///< only its owner can release it: RLock
  kCells,    ///< a read-write lock: those whose cells hold it
  kProcess,  ///< joinSync of the process whose environment the object names (an Owner)
  kTold,     ///< a side of a channel, or a lock for some time: may end by itself; told for inspection only
};

/// For as long as it lives, this thread is blocked in something that only others can end.
class BlockedIn {
 public:
  BlockedIn(Actor& actor, Blocked how, Offset object);
  ~BlockedIn();
  BlockedIn(const BlockedIn&) = delete;
  BlockedIn& operator=(const BlockedIn&) = delete;

  /// Throws ERR_MP_DEADLOCK if this thread is the one that has to give way.
  void check();

 private:
  Actor& actor_;
};

/// How long a thread is blocked before it says so, and looks.
constexpr int64_t kPatienceNs = 50 * 1000000;

}  // namespace multiproc
