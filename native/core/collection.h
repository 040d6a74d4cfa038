// Collections: dictionaries and lists that lie wholly in shared memory, without a server.
//
//   Collection ─holds─▶ its lock, an ordinary RLock that scripts may have, too
//              ─holds─▶ Table ─holds─▶ values that are blocks of their own (Message)
//   Table      index: hash → entry ─▶ record: key, value                       (dictionary)
//              entries in order    ─▶ record: value                            (list)
//
//   reader   lock · look · copy out · unlock
//   writer   lock · append a record behind all others, seen by nobody · busy = 1 · one journalled change (or
//   one
//            of the heap, where a hold changes with it) makes it the entry's · busy = 0 · unlock
//   full     a new table beside the old one, held by the writer until one change publishes it
//
// A writer that is killed leaves the old value or the new one: whoever has the lock next sees `busy`, has the
// committed change applied, and lets go of what the dead one was about to. What nobody had published is the
// dead one's, or is overwritten. Short values are changed in place, the journal holding the new words.
#pragma once
#include "core/heap.h"
#include "core/table.h"

namespace multiproc {

/// What becomes a value: bytes, or a message that this actor holds. The hold becomes the collection's.
struct Value {
  const void* bytes;
  uint32_t length;
  Offset message;  ///< 0: bytes
};

/// What was found: the bytes were copied out, or the message is held by the actor's slot now.
struct Found {
  bool found;
  uint32_t length;
  Offset message;  ///< 0: the bytes
  uint64_t message_bytes;
};

/// A new one, held by the actor. `lock`: a kRLock block that it holds, too.
Block collection_create(Actor& actor, Offset lock, bool keyed);
/// Its lock. Throws ERR_MP_CORRUPT for what is no collection.
Block collection_lock(Actor& actor, Offset at);

/// A collection whose lock is held: by this, or by the same owner before. Blocks; throws ERR_MP_DEADLOCK, and
/// ERR_MP_TERMINATED when the wait was interrupted.
class Opened {
 public:
  Opened(Actor& actor, Offset at);
  ~Opened();
  Opened(const Opened&) = delete;
  Opened& operator=(const Opened&) = delete;

  uint32_t count() { return table_.head().live; }
  /// All go, at once.
  void clear();

  // A dictionary's. A key is bytes, of kMaxInline at most.
  bool has(Bytes key);
  Found get(Bytes key, void* into, size_t room);
  /// True: it is a new key. Throws ENOSPC, having changed nothing.
  bool set(Bytes key, const Value& value);
  bool remove(Bytes key);
  struct Step {
    bool found;
    uint64_t sequence;
    uint32_t position;
    uint32_t key_bytes;  ///< they are copied out before the value
    Found value;
  };
  /// The first entry behind sequence `after` and before `end`; `position`: where the last one was.
  Step next(uint64_t after, uint64_t end, uint32_t position, void* into, size_t room, bool with_value);
  uint64_t end() { return table_.head().sequence; }

  // A list's.
  Found get(uint32_t index, void* into, size_t room);
  /// False: there is no such item.
  bool set(uint32_t index, const Value& value);
  void push(const Value& value);
  Found pop(bool first, void* into, size_t room);

  // A list made anew beside the one in force, by whoever keeps the lock meanwhile. Held by the actor until it
  // is published, or given up by heap_drop.
  Offset stage(uint32_t items, uint64_t bytes);
  /// Items of the list in force, in their order.
  void stage_copy(Offset* staged, uint32_t from, uint32_t count);
  void stage_push(Offset* staged, const Value& value);
  void publish(Offset staged);

 private:
  class Changes;
  void acquire();
  void release();
  TableView open();
  void mend();
  void must_be(bool keyed);
  /// A value as the bytes that a record has; `item` keeps them if it is a message.
  Bytes bytes_of(const Value& value, Item* item);
  Found read(uint32_t position, void* into, size_t room);
  bool fits_in_place(uint32_t position, uint32_t key_bytes, uint32_t value_bytes);
  void replace(uint32_t position, Bytes key, Bytes value, const Item& item);
  void append(Bytes key, uint32_t hash, Bytes value, const Item& item);
  void take_away(uint32_t position, Changes& changes);
  void commit(Changes& changes, const Item& in, Offset out);
  void make_room(uint32_t entries, uint64_t bytes);
  void shrink();
  void rebuild(uint64_t entries, uint64_t bytes);
  Offset new_table(uint64_t entries, uint64_t bytes);
  void copy(const TableView& from, TableView& to, uint32_t first, uint32_t end);
  void stage_room(Offset* staged, uint64_t room);

  Actor& actor_;
  Root& root_;
  Offset at_;
  Collection& c_;
  bool nested_ = false;
  TableView table_;
};

}  // namespace multiproc
