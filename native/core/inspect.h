// A look at the root of another family of processes, by one who is no part of it.
//
//   stranger ── reads ──▶ root          nothing is written, mapped or locked, and nobody is waited for
//
// What is read was written by others, and changes meanwhile: every number is checked before it is used, every
// list has an end, the whole has a time limit. What was not seen at one moment may not fit together: who
// draws conclusions looks twice.
#pragma once
#include <string>
#include <vector>

#include "core/deadlock.h"
#include "core/error.h"
#include "core/layout.h"

namespace multiproc {

struct SeenSlot {
  uint32_t index;
  Owner owner;
  Owner process;  ///< the slot of its process; itself: it is one
  SlotState state;
  uint32_t pid;
  uint64_t start_time;
  bool dead;  ///< its process has ended, and nobody has put in order what it left
  uint32_t node_thread;
  uint32_t started_by;
  uint32_t start_method;
  std::string name;
  Blocked blocked;
  Offset blocked_in;
  uint32_t blocked_number;
  std::vector<Offset> awaits;
  uint32_t more_awaits;
};

struct SeenLock {
  Owner owner;  ///< 0: nobody
  bool waiters;
  bool async_waiters;
  bool abandoned;
  uint32_t depth;
};

/// A thread that waits for a kSync object, or holds something of it.
struct SeenCell {
  Offset offset;
  Owner owner;
  uint32_t want;
  uint32_t held;
  bool asynchronous;
};

struct SeenChannel {
  uint32_t type;
  uint32_t messages;
  uint64_t bytes;
  uint32_t put;  ///< in all, modulo 2^32
  uint32_t taken;
  uint32_t unfinished;
  uint32_t max_messages;
  uint64_t max_bytes;
  uint32_t ended;
  Offset put_side;  ///< who waits for a message waits there …
  Offset taken_side;
  Offset done_side;
};

struct SeenBlock {
  Offset offset;
  uint64_t bytes;
  Kind kind;
  uint32_t generation;
  std::string label;  ///< as in messages: a name, or @ and where it was made
  std::vector<uint32_t> holders;
  std::vector<Offset> containers;
  bool locked;  ///< it has a lock:
  SeenLock lock;
  uint32_t type;     ///< of a kSync
  int32_t state[4];  ///< of a kSync: VALUE, X, Y, LIMIT of lib/sync/monitor.ts
  std::vector<SeenCell> cells;
  bool is_channel;
  SeenChannel channel;
};

struct SeenRoot {
  std::string id;
  bool same_pid_namespace;
  uint32_t blocks;
  uint64_t bytes;
  uint64_t warm_bytes;
  uint64_t counts[static_cast<size_t>(Kind::kCount)];  ///< of blocks, by kind
  uint64_t sizes[static_cast<size_t>(Kind::kCount)];
  std::vector<SeenSlot> slots;
  std::vector<SeenBlock> found;  ///< those with a lock, channels, ends, and large ones of any kind
  bool truncated;                ///< there is more than the limits allow
};

struct InspectLimits {
  uint32_t blocks = 100000;
  uint32_t spans = 1u << 18;
  uint32_t holders = 256;  ///< of one block
  int64_t time_ns = int64_t{2000} * 1000000;
};

/// Throws ERR_MP_CORRUPT if this is no root, ERR_MP_UNSUPPORTED for one of another layout.
SeenRoot inspect_root(platform::MemoryHandle memory, const InspectLimits& limits = {});

}  // namespace multiproc
