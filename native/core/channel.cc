#include "core/channel.h"

#include <algorithm>
#include <cstring>
#include <optional>

#include "core/deadlock.h"
#include "core/spin.h"
#include "core/transaction.h"

namespace multiproc {

namespace {

constexpr int64_t kSliceNs = 100 * 1000000;

[[noreturn]] void corrupt(const char* what) { throw Refusal{"ERR_MP_CORRUPT", what}; }

// What is no commit adds a multiple of 4, so that the cursor in force stays. `signal` never returns to what a
// waiter may have seen: it would sleep on. A transaction stores it blindly, and may swallow news that came
// meanwhile: its steps are longer than those can be.
constexpr uint32_t kNews = 4;
constexpr uint32_t kBlindNews = 1024;
constexpr uint32_t kBlindCommit = kBlindNews + 2;

#define CHANNEL_AT(field) (at + offsetof(Channel, field))

Channel& channel_at(Root& root, Offset at) {
  if (at < kDataAt) corrupt("a channel lies outside the data");
  return root.ref<Channel>(at);
}

/// A cursor by value.
struct Place {
  Offset chunk;
  uint64_t bytes;
  uint32_t at;
  uint32_t count;
};

Place load(const Cursor& c) {
  return {c.chunk.load(std::memory_order_acquire), c.bytes.load(std::memory_order_acquire),
          c.at.load(std::memory_order_acquire), c.count.load(std::memory_order_acquire)};
}

/// The cursor in force, by whoever holds the lock of this side.
Place own(Side& side, uint32_t signal) { return load(side.cursor[(signal >> 1) & 1]); }

/// The cursor in force, by anybody.
Place seen_from_outside(Side& side) {
  for (;;) {
    uint32_t signal = side.signal.load();
    Place p = own(side, signal);
    if (side.signal.load() >> 1 == signal >> 1) return p;
  }
}

void prepare(Side& side, uint32_t signal, const Place& p) {
  Cursor& c = side.cursor[((signal >> 1) + 1) & 1];
  c.chunk.store(p.chunk, std::memory_order_release);
  c.bytes.store(p.bytes, std::memory_order_release);
  c.at.store(p.at, std::memory_order_release);
  c.count.store(p.count, std::memory_order_release);
}

void commit(Side& side, uint32_t signal, const Place& p) {
  prepare(side, signal, p);
  crash_point();
  side.signal.fetch_add(2);
  crash_point();
}

/// One who waits for a change of this side is told of it.
void notify(Actor& actor, Side& side, Offset at) {
  // Whoever is woken says so again for the others; one that is killed meanwhile leaves them to their slices.
  if (side.asleep.load() != 0 && side.asleep.exchange(0) != 0) platform::wake(&side.signal, 1);
  if (side.registered.load() != 0 && side.registered.exchange(0) != 0 && actor.ringer.ring_next(at))
    side.registered.store(1);  // there may be more
}

/// All who wait look again, `signal` having changed.
void notify_all(Actor& actor, Side& side, Offset at) {
  platform::wake(&side.signal, platform::kWakeAll);
  side.registered.store(0);
  actor.ringer.ring_all(at);
}

/// Holds a lock of a channel, for microseconds: no wait that a user sees.
class Guard {
 public:
  Guard(Actor& actor, LockCell& cell, Offset at) : actor_(actor), cell_(cell), at_(at) {
    uint32_t free = 0;
    if (cell.word.compare_exchange_strong(free, actor.me)) return;
    Actor plain = actor;
    plain.interrupted = nullptr;
    abandoned = lock_acquire(plain, at, -1) == Acquired::kAbandoned;
    if (!abandoned) return;
    try {
      // What the dead one had committed to the journal takes effect before anything is looked at.
      RootGuard root(actor);
    } catch (...) {
      lock_abandon(actor, at, actor.me);
      throw;
    }
  }
  ~Guard() { release(); }
  struct Kept {};
  /// Takes over the lock that a guard of this owner has kept.
  Guard(Actor& actor, LockCell& cell, Offset at, Kept) : actor_(actor), cell_(cell), at_(at) {
    if ((cell.word.load() & ~kFlags) == actor.me) return;
    released_ = true;
    corrupt("a channel's lock was not kept");
  }
  Guard(const Guard&) = delete;
  Guard& operator=(const Guard&) = delete;
  /// The lock stays with this owner.
  void keep() { released_ = true; }
  void release() {
    if (released_) return;
    released_ = true;
    uint32_t mine = actor_.me;
    if (!cell_.word.compare_exchange_strong(mine, 0)) lock_release(actor_, at_, actor_.me);
  }
  bool abandoned = false;

 private:
  Actor& actor_;
  LockCell& cell_;
  Offset at_;
  bool released_ = false;
};

// ---- chunks
// --------------------------------------------------------------------------------------------------------

Chunk& chunk_at(Root& root, Offset at) {
  if (at < kDataAt) corrupt("a chunk lies outside the data");
  Chunk& chunk = root.ref<Chunk>(at);
  if (chunk.size > kMaxChunk - sizeof(Chunk) || chunk.size < kMinChunk - sizeof(Chunk) || chunk.size % 8 != 0)
    corrupt("a chunk has an impossible size");
  root.at(at, sizeof(Chunk) + chunk.size);
  return chunk;
}
char* data_of(Chunk& chunk) { return reinterpret_cast<char*>(&chunk + 1); }

Block chunk_create(Actor& actor, size_t bytes) {
  Block block = heap_allocate(actor, slot_of(actor.me), bytes, Kind::kChunk, Fill::kAny);
  Chunk& chunk = actor.root.ref<Chunk>(block.offset);
  chunk.next.store(0);
  chunk.size = static_cast<uint32_t>(bytes - sizeof(Chunk));
  return block;
}

/// Links the chunk that follows `last`: the spare one, or a new one of at least `size` bytes of data.
Offset extend(Actor& actor, Offset at, Channel& c, Chunk& last, Offset last_at, size_t size) {
  Offset spare = c.spare.load();
  if (spare != 0 && chunk_at(actor.root, spare).size >= size) {
    chunk_at(actor.root, spare).next.store(0);
    last.next.store(spare);
    crash_point();
    c.spare.compare_exchange_strong(spare, 0);
    return spare;
  }
  size_t bytes = std::min<size_t>(kMaxChunk, (last.size + sizeof(Chunk)) * 4);
  while (bytes - sizeof(Chunk) < size) bytes *= 4;
  Block block = chunk_create(actor, std::min(bytes, kMaxChunk));
  crash_point();
  heap_move(actor, by_slot(slot_of(actor.me)), by_container(at), block.offset, block.generation,
            [&](Transaction& t) { t.set64(last_at + offsetof(Chunk, next), block.offset); });
  return block.offset;
}

/// Finds room for a record behind the writers' place, in the next chunk if need be.
char* room_for(Actor& actor, Offset at, Channel& c, Place& w, size_t size) {
  for (;;) {
    Chunk& chunk = chunk_at(actor.root, w.chunk);
    if (w.at > chunk.size) corrupt("a cursor lies outside its chunk");
    if (size <= chunk.size - w.at) return data_of(chunk) + w.at;
    Offset next = chunk.next.load();  // linked by a writer that was killed before it published
    if (next == 0) next = extend(actor, at, c, chunk, w.chunk, size);
    if (chunk.size - w.at >= sizeof(Record))
      reinterpret_cast<Record*>(data_of(chunk) + w.at)->what = kRecordEnd;
    w.chunk = next;
    w.at = 0;
  }
}

/// A chunk that has been read to its end: kept for the writers, or given back. Only readers fill `spare`,
/// only writers empty it.
void retire(Actor& actor, Offset at, Channel& c, Offset old) {
  Offset none = 0;
  if (c.spare.compare_exchange_strong(none, old)) return;
  heap_move(actor, by_container(at), by_slot(slot_of(actor.me)), old, heap_find(actor, old).generation,
            [](Transaction&) {});
  heap_drop(actor, slot_of(actor.me), old);
}

// ---- after a death in here
// -------------------------------------------------------------------------------------------

void mend_writer(Actor& actor, Offset at, Channel& c) {
  // It may have linked the spare chunk without having said that it is taken.
  Offset spare = c.spare.load(), chunk = own(c.put, c.put.signal.load()).chunk;
  for (uint32_t steps = 0; chunk != 0 && spare != 0; chunk = chunk_at(actor.root, chunk).next.load()) {
    if (chunk == spare) c.spare.compare_exchange_strong(spare, 0);
    if (++steps > kMaxHolds) corrupt("a list of chunks is endless");
  }
  notify(actor, c.put, CHANNEL_AT(put));
}

void mend_reader(Actor& actor, Offset at, Channel& c) {
  // It may have left a chunk that it had read to its end: what is neither spare nor still to be read. In this
  // order: a writer links the spare one before it says that it is taken.
  std::vector<Offset> left;
  {
    RootGuard guard(actor);
    for (const Block& block : heap_contents(actor.root, at))
      if (block.kind == Kind::kChunk) left.push_back(block.offset);
    auto forget = [&](Offset chunk) { left.erase(std::remove(left.begin(), left.end(), chunk), left.end()); };
    forget(c.spare.load());
    Offset chunk = own(c.taken, c.taken.signal.load()).chunk;
    for (uint32_t steps = 0; chunk != 0; chunk = chunk_at(actor.root, chunk).next.load()) {
      forget(chunk);
      if (++steps > kMaxHolds) corrupt("a list of chunks is endless");
    }
  }
  for (Offset chunk : left) retire(actor, at, c, chunk);
  c.taken.signal.fetch_add(kNews);  // perhaps it took a message that was redelivered, and told nobody
  notify(actor, c.taken, CHANNEL_AT(taken));
}

/// May a message that costs so many bytes be put?
bool has_room(const Channel& c, const Place& w, const Place& r, uint64_t bytes) {
  const uint32_t queued = w.count - r.count + c.redelivered.load();
  if (c.max_messages != 0 && queued >= c.max_messages) return false;
  return c.max_bytes == 0 || queued == 0 || w.bytes - r.bytes + bytes <= c.max_bytes;
}

/// Who was woken took one place of several that became free at once: the next one is woken.
void pass_on_room(Actor& actor, Offset at, Channel& c, const Place& w) {
  if ((c.max_messages != 0 || c.max_bytes != 0) && has_room(c, w, seen_from_outside(c.taken), 0))
    notify(actor, c.taken, CHANNEL_AT(taken));
}

/// Tasks that count, modulo 2^32: what an immediate shutdown dropped does not.
uint32_t tasks(Channel& c) {
  if (c.ended.load() & kShutDownNow) return seen_from_outside(c.taken).count - c.redelivered.load();
  return seen_from_outside(c.put).count;
}

Outcome ended_for_writers(Channel& c) {
  uint32_t ended = c.ended.load();
  if (ended & (kShutDown | kShutDownNow)) return Outcome::kShutDown;
  return ended & kReadersGone ? Outcome::kEnded : Outcome::kDone;
}

}  // namespace

// ---- making them
// -----------------------------------------------------------------------------------------------------

Block channel_create(Actor& actor, Limits limits) {
  const uint32_t slot = slot_of(actor.me);
  Block block = heap_allocate(actor, slot, sizeof(Channel), Kind::kChannel);
  try {
    Channel& c = actor.root.ref<Channel>(block.offset);
    c.generation = block.generation;
    c.max_messages = limits.messages;
    c.max_bytes = limits.bytes;
    Block chunk = chunk_create(actor, kMinChunk);
    heap_move(actor, by_slot(slot), by_container(block.offset), chunk.offset, chunk.generation,
              [](Transaction&) {});
    for (Side* side : {&c.put, &c.taken}) side->cursor[0].chunk.store(chunk.offset);
  } catch (...) {
    heap_drop(actor, slot, block.offset);
    throw;
  }
  return block;
}

Pipe pipe_create(Actor& actor, bool duplex, uint64_t max_bytes) {
  const uint32_t slot = slot_of(actor.me);
  std::vector<Offset> made;
  try {
    auto make = [&](Block block) {
      made.push_back(block.offset);
      return block;
    };
    Block forth = make(channel_create(actor, {0, max_bytes})), back{};
    if (duplex) back = make(channel_create(actor, {0, max_bytes}));
    Pipe pipe{make(heap_allocate(actor, slot, sizeof(End), Kind::kEnd)),
              make(heap_allocate(actor, slot, sizeof(End), Kind::kEnd))};
    for (const Block* end : {&pipe.first, &pipe.second}) {
      End& e = actor.root.ref<End>(end->offset);
      const bool first = end == &pipe.first;
      e.reads = first ? forth.offset : back.offset;
      e.writes = first ? back.offset : forth.offset;
      heap_put_into(actor, end->offset, forth.offset);
      if (duplex) heap_put_into(actor, end->offset, back.offset);
    }
    heap_drop(actor, slot, forth.offset);
    if (duplex) heap_drop(actor, slot, back.offset);
    return pipe;
  } catch (...) {
    for (Offset block : made) heap_drop(actor, slot, block);
    throw;
  }
}

// ---- putting
// -----------------------------------------------------------------------------------------------------------

Outcome channel_put(Actor& actor, Offset at, const char* records, size_t bytes, size_t* done,
                    uint32_t* seen) {
  Channel& c = channel_at(actor.root, at);
  *done = 0;
  Guard guard(actor, c.write_lock, CHANNEL_AT(write_lock));
  if (guard.abandoned) mend_writer(actor, at, c);
  *seen = c.taken.signal.load();  // before all that is looked at
  if (Outcome ended = ended_for_writers(c); ended != Outcome::kDone) return ended;
  const uint32_t signal = c.put.signal.load();
  Place w = own(c.put, signal);
  const Place r = seen_from_outside(c.taken);
  while (*done < bytes) {
    Record head;
    if (bytes - *done < sizeof head) corrupt("a record is cut off");
    memcpy(&head, records + *done, sizeof head);
    const size_t size = record_bytes(head.length);
    if (head.length > kMaxInline || size > bytes - *done || (head.what & kRecordHandle)) corrupt("no record");
    if (!has_room(c, w, r, size)) break;
    try {
      memcpy(room_for(actor, at, c, w, size), records + *done, size);
    } catch (const SystemError&) {
      if (*done == 0) throw;
      break;  // the caller comes again, and is told
    }
    crash_point();
    w.at += static_cast<uint32_t>(size);
    w.bytes += size;
    w.count++;
    *done += size;
  }
  if (*done == 0) return Outcome::kWait;
  commit(c.put, signal, w);
  guard.release();
  notify(actor, c.put, CHANNEL_AT(put));
  pass_on_room(actor, at, c, w);
  return Outcome::kDone;
}

Block message_create(Actor& actor, uint64_t bytes, uint32_t what) {
  if (bytes > kRootBytes) throw SystemError{ENOSPC, "fallocate"};
  Block block =
      heap_allocate(actor, slot_of(actor.me), sizeof(Message) + bytes, Kind::kMessage, Fill::kWritten);
  actor.root.ref<Message>(block.offset).what = what;
  return block;
}

Outcome channel_put_message(Actor& actor, Offset at, Offset message, uint32_t* seen) {
  Channel& c = channel_at(actor.root, at);
  const Block block = heap_find(actor, message);
  if (block.kind != Kind::kMessage) corrupt("no message");
  Guard guard(actor, c.write_lock, CHANNEL_AT(write_lock));
  if (guard.abandoned) mend_writer(actor, at, c);
  *seen = c.taken.signal.load();  // before all that is looked at
  if (Outcome ended = ended_for_writers(c); ended != Outcome::kDone) return ended;
  const uint32_t signal = c.put.signal.load();
  Place w = own(c.put, signal);
  const Place r = seen_from_outside(c.taken);
  if (!has_room(c, w, r, block.bytes)) return Outcome::kWait;
  Message& m = actor.root.ref<Message>(message);
  m.channel = at;
  m.channel_generation = c.generation;
  HandleRecord record{
      {sizeof(HandleRecord) - sizeof(Record), kRecordHandle}, message, block.bytes, block.generation, 0};
  memcpy(room_for(actor, at, c, w, sizeof record), &record, sizeof record);
  w.at += sizeof record;
  w.bytes += block.bytes;
  w.count++;
  prepare(c.put, signal, w);
  crash_point();
  heap_move(actor, by_slot(slot_of(actor.me)), by_container(at), message, block.generation,
            [&](Transaction& t) { t.set(CHANNEL_AT(put) + offsetof(Side, signal), signal + kBlindCommit); });
  guard.release();
  notify(actor, c.put, CHANNEL_AT(put));
  pass_on_room(actor, at, c, w);
  return Outcome::kDone;
}

// ---- taking
// ------------------------------------------------------------------------------------------------------------

namespace {

/// Fills in what the taker is told of a message that its slot holds now.
void describe(Actor& actor, Offset message, Taken* taken) {
  const Block block = heap_find(actor, message);
  if (block.kind != Kind::kMessage || block.bytes < sizeof(Message)) corrupt("no message");
  taken->message = message;
  taken->message_bytes = block.bytes - sizeof(Message);
  taken->what = actor.root.ref<Message>(message).what;
}

/// One message that another was killed over. False: somebody else was faster.
bool take_again(Actor& actor, Offset at, Channel& c, Taken* taken) {
  const Offset message = c.redeliver.load();
  if (message == 0) return false;
  Offset next = actor.root.ref<Message>(message).next;
  heap_move(actor, by_container(at), by_slot(slot_of(actor.me)), message,
            heap_find(actor, message).generation, [&](Transaction& t) {
              // A reaper may have put others before it meanwhile.
              Offset link = CHANNEL_AT(redeliver);
              for (uint32_t steps = 0; t.get64(link) != message; steps++) {
                if (t.get64(link) == 0 || steps > kMaxHolds)
                  corrupt("a message to be redelivered is not listed");
                link = t.get64(link) + offsetof(Message, next);
              }
              t.set64(link, next);
              t.set(CHANNEL_AT(redelivered), t.get(CHANNEL_AT(redelivered)) - 1);
              t.set(message + offsetof(Message, taken), 1);
            });
  describe(actor, message, taken);
  return true;
}

}  // namespace

namespace {

/// Walks over the records from the readers' place on, and leaves it behind the last one that `each` has
/// consumed. Chunks read to their ends are added to `old`.
template <class F>
void walk(Actor& actor, Place& r, const Place& w, std::vector<Offset>& old, F each) {
  while (r.count != w.count) {
    Chunk& chunk = chunk_at(actor.root, r.chunk);
    if (r.at > chunk.size) corrupt("a cursor lies outside its chunk");
    const char* record = data_of(chunk) + r.at;
    Record head{0, kRecordEnd};
    if (chunk.size - r.at >= sizeof head) memcpy(&head, record, sizeof head);
    if (head.what == kRecordEnd) {
      old.push_back(r.chunk);
      r.chunk = chunk.next.load();
      r.at = 0;
      continue;
    }
    const size_t size = record_bytes(head.length);
    if (head.length > kMaxInline || size > chunk.size - r.at) corrupt("a message is longer than its place");
    if (!each(head, record, size)) return;
    r.at += static_cast<uint32_t>(size);
    r.bytes += size;
    r.count++;
  }
}

/// Takes the message that the record at the readers' place names: the cursor moves in the same change as its
/// hold.
Offset take_own(Actor& actor, Offset at, Channel& c, uint32_t signal, Place& r, const char* record) {
  HandleRecord handle;
  memcpy(&handle, record, sizeof handle);
  r.at += sizeof handle;
  r.bytes += handle.bytes;
  r.count++;
  prepare(c.taken, signal, r);
  crash_point();
  heap_move(actor, by_container(at), by_slot(slot_of(actor.me)), handle.message, handle.generation,
            [&](Transaction& t) {
              t.set(CHANNEL_AT(taken) + offsetof(Side, signal), signal + kBlindCommit);
              t.set(handle.message + offsetof(Message, taken), 1);
            });
  return handle.message;
}

/// What follows a commit of the readers, the lock being free again.
void after_taking(Actor& actor, Offset at, Channel& c, const Place& r, const Place& w) {
  notify(actor, c.taken, CHANNEL_AT(taken));
  // Whoever was woken for what is left may be gone: another one is.
  if (r.count != w.count) notify(actor, c.put, CHANNEL_AT(put));
}

}  // namespace

Outcome channel_take(Actor& actor, Offset at, char* into, size_t room, uint32_t most, Taken* taken,
                     uint32_t* seen) {
  Channel& c = channel_at(actor.root, at);
  *taken = {};
  Guard guard(actor, c.read_lock, CHANNEL_AT(read_lock));
  if (guard.abandoned) mend_reader(actor, at, c);
  *seen = c.put.signal.load();  // before all that is looked at
  if (c.ended.load() & kShutDownNow) return Outcome::kShutDown;
  if (c.redeliver.load() != 0 && take_again(actor, at, c, taken)) {
    c.taken.signal.fetch_add(kNews);  // its place is free
    guard.release();
    notify(actor, c.taken, CHANNEL_AT(taken));
    return Outcome::kDone;
  }
  const uint32_t ended = c.ended.load();  // before looking what there is: nothing comes after it
  const uint32_t signal = c.taken.signal.load();
  Place r = own(c.taken, signal);
  const Place w = seen_from_outside(c.put);
  std::vector<Offset> old;
  const char* handle = nullptr;
  walk(actor, r, w, old, [&](const Record& head, const char* record, size_t size) {
    if (head.what & kRecordHandle) {
      if (size != sizeof(HandleRecord)) corrupt("no handle of a message");
      if (taken->records == 0) handle = record;
      return false;
    }
    if (taken->records == most || size > room - taken->bytes) return false;
    memcpy(into + taken->bytes, record, size);
    taken->bytes += size;
    taken->records++;
    return true;
  });
  if (taken->records > 0) {
    guard.keep();
    return Outcome::kDone;
  }
  if (handle == nullptr) {
    if (ended & kShutDown) return Outcome::kShutDown;
    return ended & kWritersGone ? Outcome::kEnded : Outcome::kWait;
  }
  const Offset message = take_own(actor, at, c, signal, r, handle);
  for (Offset chunk : old) retire(actor, at, c, chunk);
  guard.release();
  after_taking(actor, at, c, r, w);
  describe(actor, message, taken);
  return Outcome::kDone;
}

void channel_commit(Actor& actor, Offset at, uint32_t count) {
  Channel& c = channel_at(actor.root, at);
  Guard guard(actor, c.read_lock, CHANNEL_AT(read_lock), Guard::Kept{});
  const uint32_t signal = c.taken.signal.load();
  Place r = own(c.taken, signal);
  const Place w = seen_from_outside(c.put);
  std::vector<Offset> old;
  if (count > 0) {
    walk(actor, r, w, old, [&](const Record&, const char*, size_t) { return count-- > 0; });
    commit(c.taken, signal, r);
    for (Offset chunk : old) retire(actor, at, c, chunk);
  }
  guard.release();
  after_taking(actor, at, c, r, w);
}

void message_settle(Actor& actor, Offset message) { actor.root.ref<Message>(message).taken = 0; }

bool channel_redeliver(Actor& actor, uint32_t dead, const Block& block) {
  Message& m = actor.root.ref<Message>(block.offset);
  if (m.taken == 0 || m.deaths >= kMostDeaths) return false;
  const Offset at = m.channel;
  try {
    // The dead one's slot holds the channel, too, so that it stays until the message is in it.
    const Block channel = heap_hold(actor, dead, at, m.channel_generation);
    if (channel.kind != Kind::kChannel) return false;
  } catch (const Refusal&) {
    return false;  // nobody has the channel any more
  }
  heap_move(actor, by_slot(dead), by_container(at), block.offset, block.generation, [&](Transaction& t) {
    t.set(block.offset + offsetof(Message, taken), 0);
    t.set(block.offset + offsetof(Message, deaths), m.deaths + 1);
    t.set64(block.offset + offsetof(Message, next), t.get64(CHANNEL_AT(redeliver)));
    t.set64(CHANNEL_AT(redeliver), block.offset);
    t.set(CHANNEL_AT(redelivered), t.get(CHANNEL_AT(redelivered)) + 1);
  });
  Channel& c = channel_at(actor.root, at);
  c.put.signal.fetch_add(kNews);
  notify(actor, c.put, CHANNEL_AT(put));
  return true;
}

// ---- waiting
// -----------------------------------------------------------------------------------------------------------

namespace {

Side& side_in(Channel& c, Waits what) {
  return what == Waits::kMessage ? c.put : what == Waits::kRoom ? c.taken : c.done;
}

}  // namespace

Offset side_of(Offset at, Waits what) {
  return what == Waits::kMessage ? CHANNEL_AT(put)
         : what == Waits::kRoom  ? CHANNEL_AT(taken)
                                 : CHANNEL_AT(done);
}

Outcome channel_wait(Actor& actor, Offset at, Waits what, uint32_t seen, int64_t timeout_ns) {
  Side& side = side_in(channel_at(actor.root, at), what);
  if (side.signal.load() != seen) return Outcome::kDone;
  if (timeout_ns == 0) return Outcome::kTimedOut;
  const uint64_t start = platform::now_ns();
  for (Spin spin; spin.again();)
    if (side.signal.load() != seen) {
      spin.came();
      return Outcome::kDone;
    }
  Outcome outcome = Outcome::kDone;
  std::optional<BlockedIn> blocked;
  for (;;) {
    side.asleep.store(1);
    if (side.signal.load() != seen) break;
    int64_t slice = kSliceNs;
    if (timeout_ns >= 0) {
      const int64_t left = timeout_ns - static_cast<int64_t>(platform::now_ns() - start);
      if (left <= 0) {
        outcome = Outcome::kTimedOut;
        break;
      }
      slice = std::min(slice, left);
    }
    platform::Watch watch{&side.signal, seen};
    if (platform::wait(&watch, 1, slice)) continue;
    if (actor.interrupted != nullptr && actor.interrupted(actor.data)) {
      outcome = Outcome::kInterrupted;
      break;
    }
    if (!blocked) blocked.emplace(actor, Blocked::kTold, side_of(at, what));
  }
  side.asleep.store(1);  // for those who sleep still
  if (outcome != Outcome::kDone) side_pass_on(actor, at, what);
  return outcome;
}

bool side_flag(Root& root, Offset at, uint32_t seen) {
  Side& side = root.ref<Side>(at);
  side.registered.store(1);
  return side.signal.load() == seen;
}

void side_pass_on(Actor& actor, Offset at, Waits what) {
  Channel& c = channel_at(actor.root, at);
  const Place w = seen_from_outside(c.put), r = seen_from_outside(c.taken);
  if (what == Waits::kMessage ? w.count != r.count || c.redeliver.load() != 0
                              : what == Waits::kRoom && has_room(c, w, r, 0))
    notify(actor, side_in(c, what), side_of(at, what));
}

// ---- how it stands
// ---------------------------------------------------------------------------------------------------

Counts channel_counts(Root& root, Offset at) {
  Channel& c = channel_at(root, at);
  const uint32_t done = c.done.signal.load() & ~1u;
  const uint32_t counted = tasks(c);
  const Place r = seen_from_outside(c.taken), w = seen_from_outside(c.put);
  const bool now = (c.ended.load() & kShutDownNow) != 0;
  return {now ? 0 : w.count - r.count + c.redelivered.load(), now ? 0 : w.bytes - r.bytes,
          ((counted << 1) - done) >> 1};
}

uint32_t channel_ended(Root& root, Offset at) { return channel_at(root, at).ended.load(); }

void channel_shut_down(Actor& actor, Offset at, bool now) {
  Channel& c = channel_at(actor.root, at);
  {
    // Nobody is putting or taking just now: what is queued is dropped as it stands.
    Guard readers(actor, c.read_lock, CHANNEL_AT(read_lock));
    Guard writers(actor, c.write_lock, CHANNEL_AT(write_lock));
    if (readers.abandoned) mend_reader(actor, at, c);
    if (writers.abandoned) mend_writer(actor, at, c);
    RootGuard guard(actor);
    Transaction t(actor.root);
    const uint32_t before = c.ended.load();
    t.set(CHANNEL_AT(ended), before | kShutDown | (now ? kShutDownNow : 0));
    // In the same change: should we be killed before the wake-ups, the waiters see it when they look.
    for (Offset side : {CHANNEL_AT(put), CHANNEL_AT(taken)})
      t.set(side + offsetof(Side, signal), actor.root.ref<Side>(side).signal.load() + kBlindNews);
    t.commit();
    if (now && !(before & kShutDownNow)) c.done.signal.fetch_xor(1);
  }
  for (Waits what : {Waits::kMessage, Waits::kRoom, Waits::kDone})
    notify_all(actor, side_in(c, what), side_of(at, what));
}

bool channel_task_done(Actor& actor, Offset at) {
  Channel& c = channel_at(actor.root, at);
  uint32_t done = c.done.signal.load();
  do {
    if (tasks(c) << 1 == (done & ~1u)) return false;
  } while (!c.done.signal.compare_exchange_weak(done, done + 2));
  // Only who finds all done goes on: the others need not be woken for each task.
  if (channel_counts(actor.root, at).unfinished == 0) {
    platform::wake(&c.done.signal, platform::kWakeAll);
    if (c.done.registered.exchange(0) != 0) actor.ringer.ring_all(CHANNEL_AT(done));
  }
  return true;
}

// ---- ends
// --------------------------------------------------------------------------------------------------------------

bool channel_end_gone(Actor& actor, Transaction& t, Offset end) {
  End& e = actor.root.ref<End>(end);
  if (e.closed != 0) return false;
  const Offset reads = e.reads, writes = e.writes;
  for (Offset at : {reads, writes})
    if (at != 0)
      t.set(CHANNEL_AT(ended), t.get(CHANNEL_AT(ended)) | (at == reads ? kReadersGone : kWritersGone));
  t.commit();
  crash_point();
  for (auto [at, what] : {std::pair{reads, Waits::kRoom}, std::pair{writes, Waits::kMessage}})
    if (at != 0) {
      Side& side = side_in(channel_at(actor.root, at), what);
      side.signal.fetch_add(kNews);
      notify_all(actor, side, side_of(at, what));
    }
  // Last: should we be killed before this, the reaper tells them once more.
  crash_point();
  t.set(end + offsetof(End, closed), 1);
  t.commit();
  return true;
}

void channel_abandon(Actor& actor, Offset at, Owner dead) {
  lock_abandon(actor, CHANNEL_AT(write_lock), dead);
  lock_abandon(actor, CHANNEL_AT(read_lock), dead);
}

}  // namespace multiproc
