#include "core/collection.h"

#include <algorithm>
#include <cstring>

#include "core/transaction.h"

namespace multiproc {

namespace {

[[noreturn]] void corrupt(const char* what) { throw Refusal{"ERR_MP_CORRUPT", what}; }

/// Shorter tables are not worth making smaller.
constexpr uint32_t kLeastShrunk = 64;
constexpr uint64_t kLeastDataShrunk = kSpanBytes;
constexpr uint32_t kMaxPatched = 4 * kMaxInPlace;

Collection& collection_at(Root& root, Offset at) {
  if (at < kDataAt) corrupt("a collection lies outside the data");
  return root.ref<Collection>(at);
}
Offset item_in(const TableRecord& record, Item* item) {
  if (record.item == 0) return 0;
  if (record.value_bytes != sizeof(Item)) corrupt("a value's block is misnamed");
  memcpy(item, TableView::value_of(record), sizeof(Item));
  return item->message;
}

}  // namespace

#define COLLECTION_AT(field) (at_ + offsetof(Collection, field))
#define TABLE_AT(field) (table_.at() + offsetof(Table, field))

Block collection_create(Actor& actor, Offset lock, bool keyed) {
  const uint32_t slot = slot_of(actor.me);
  const Block held = heap_find(actor, lock);
  if (held.kind != Kind::kRLock) corrupt("the lock of a collection is none");
  Block block = heap_allocate(actor, slot, sizeof(Collection), Kind::kCollection);
  Offset table = 0;
  try {
    Collection& c = actor.root.ref<Collection>(block.offset);
    c.lock = lock;
    c.lock_generation = held.generation;
    c.keyed = keyed;
    heap_put_into(actor, block.offset, lock);
    const TableShape shape = table_shape(keyed, 0, 0);
    const Block first = heap_allocate(actor, slot, shape.bytes, Kind::kTable, Fill::kAny);
    table = first.offset;
    TableView::make(actor.root, table, shape);
    heap_move(actor, by_slot(slot), by_container(block.offset), table, first.generation,
              [&](Transaction& t) { t.set64(block.offset + offsetof(Collection, table), table); });
  } catch (...) {
    if (table != 0) heap_drop(actor, slot, table);
    heap_drop(actor, slot, block.offset);
    throw;
  }
  return block;
}

Block collection_lock(Actor& actor, Offset at) {
  if (heap_find(actor, at).kind != Kind::kCollection) corrupt("no collection");
  const Collection& c = collection_at(actor.root, at);
  const Block lock = heap_find(actor, c.lock);
  if (lock.kind != Kind::kRLock || lock.generation != c.lock_generation)
    corrupt("the lock of a collection is none");
  return lock;
}

// ---- the lock, and what a dead writer has left
// ------------------------------------------------------------------------------------

Opened::Opened(Actor& actor, Offset at)
    : actor_(actor), root_(actor.root), at_(at), c_(collection_at(actor.root, at)), table_(open()) {}

Opened::~Opened() { release(); }

TableView Opened::open() {
  acquire();
  try {
    if (c_.busy.load(std::memory_order_relaxed) != 0) mend();
    return TableView(root_, c_.table.load(std::memory_order_relaxed));
  } catch (...) {
    release();
    throw;
  }
}

/// As RLock does in lib/sync: depth and numbers are its owner's.
void Opened::acquire() {
  if (c_.lock < kDataAt) corrupt("the lock of a collection lies outside the data");
  LockCell& cell = root_.ref<LockCell>(c_.lock);
  uint32_t free = 0;
  if (!cell.word.compare_exchange_strong(free, actor_.me)) {
    if ((free & ~kFlags) == actor_.me) {
      nested_ = true;
      return;
    }
    if (lock_acquire(actor_, c_.lock, -1, Watched::kOwned) == Acquired::kInterrupted)
      throw Refusal{"ERR_MP_TERMINATED", "the thread is being terminated"};
  }
  cell.depth = 1;
  cell.acquisition = cell.counter + 1;
  __atomic_store_n(&cell.counter, cell.acquisition, __ATOMIC_RELAXED);  // who waits looks at it
}

void Opened::release() {
  if (nested_) return;
  LockCell& cell = root_.ref<LockCell>(c_.lock);
  cell.depth = 0;
  uint32_t mine = actor_.me;
  if (!cell.word.compare_exchange_strong(mine, 0)) lock_release(actor_, c_.lock, actor_.me);
}

void Opened::mend() {
  // What the dead one had committed to the root's journal takes effect before anything is looked at.
  { RootGuard root(actor_); }
  const TableView table(root_, c_.table.load());
  // All of them are words of the table in force.
  const uint32_t words = std::min<uint32_t>(c_.journal.committed.load(), kChangeEntries);
  for (uint32_t i = 0; i < words; i++) {
    const Offset target = c_.journal.entries[i].target >> 1;
    if (target < table.at() + sizeof(Container) || target >= table.end())
      corrupt("a change of a collection lies outside of it");
  }
  Transaction::apply(root_, c_.journal);
  if (const Offset doomed = c_.doomed.load(); doomed != 0) {
    const bool table = heap_find(actor_, doomed).kind == Kind::kTable;
    heap_take_out(actor_, table ? at_ : c_.table.load(), doomed,
                  [&](Transaction& t) { t.set64(COLLECTION_AT(doomed), 0); });
  }
  c_.busy.store(0, std::memory_order_release);
}

void Opened::must_be(bool keyed) {
  if ((c_.keyed != 0) != keyed || (table_.slots() != 0) != keyed)
    corrupt("a collection is of another kind than was said");
}

// ---- changes
// -------------------------------------------------------------------------------------------------------------

/// Words that change together.
class Opened::Changes {
 public:
  void set(Offset at, uint32_t value) { add({at, value, false}); }
  void set64(Offset at, uint64_t value) { add({at, value, true}); }
  void into(Transaction& t) const {
    for (uint32_t i = 0; i < count_; i++) {
      const Word& w = words_[i];
      w.wide ? t.set64(w.at, w.value) : t.set(w.at, static_cast<uint32_t>(w.value));
    }
  }

 private:
  struct Word {
    Offset at;
    uint64_t value;
    bool wide;
  };
  void add(const Word& word) {
    if (count_ == kChangeEntries) corrupt("a change of a collection is too long");
    words_[count_++] = word;
  }
  Word words_[kChangeEntries];
  uint32_t count_ = 0;
};

/// All of them or none; with them a message comes from our slot into the table, another one leaves it.
void Opened::commit(Changes& changes, const Item& in, Offset out) {
  c_.busy.store(1, std::memory_order_release);
  crash_point();
  if (in.message != 0) {
    if (out != 0) changes.set64(COLLECTION_AT(doomed), out);
    heap_move(actor_, by_slot(slot_of(actor_.me)), by_container(table_.at()), in.message, in.generation,
              [&](Transaction& t) { changes.into(t); });
    crash_point();
    if (out != 0)
      heap_take_out(actor_, table_.at(), out, [&](Transaction& t) { t.set64(COLLECTION_AT(doomed), 0); });
  } else if (out != 0) {
    heap_take_out(actor_, table_.at(), out, [&](Transaction& t) { changes.into(t); });
  } else {
    Transaction t(root_, c_.journal);
    changes.into(t);
    t.commit();
  }
  c_.busy.store(0, std::memory_order_release);
}

Bytes Opened::bytes_of(const Value& value, Item* item) {
  *item = {};
  if (value.message == 0) {
    if (value.length > kMaxInline) corrupt("a value is too long for a record");
    return {value.bytes, value.length};
  }
  const Block block = heap_find(actor_, value.message);
  if (block.kind != Kind::kMessage) corrupt("no message");
  *item = {value.message, block.generation, 0};
  return {item, sizeof(Item)};
}

bool Opened::fits_in_place(uint32_t position, uint32_t key_bytes, uint32_t value_bytes) {
  const TableRecord& r = table_.record(table_.entry(position));
  const uint64_t bytes = sizeof(TableRecord) + uint64_t{key_bytes} + value_bytes;
  return bytes <= kMaxInPlace && bytes <= r.room && r.room <= kMaxPatched;
}

/// Another value for an entry. There is room.
void Opened::replace(uint32_t position, Bytes key, Bytes value, const Item& item) {
  const TableEntry& e = table_.entry(position);
  const TableRecord& r = table_.record(e);
  Item old{};
  const Offset out = item_in(r, &old);
  Changes changes;
  if (fits_in_place(position, key.length, value.length)) {
    const uint32_t bytes = sizeof(TableRecord) + key.length + value.length, rounded = (bytes + 7) & ~7u;
    uint64_t before[kMaxInPlace / 8], after[kMaxInPlace / 8];
    memcpy(before, &r, rounded);
    memcpy(after, before, rounded);
    const TableRecord head{r.room, key.length, value.length, item.message != 0};
    memcpy(after, &head, sizeof head);
    memcpy(reinterpret_cast<char*>(after) + sizeof head + key.length, value.data, value.length);
    for (uint32_t i = 0; i < rounded / 8; i++)
      if (before[i] != after[i]) changes.set64(table_.record_at(e) + i * 8, after[i]);
  } else {
    const uint64_t room = room_of(key.length, value.length);
    uint64_t begin;
    if (!table_.tail(room, &begin)) corrupt("a table has no room");
    const Table& head = table_.head();
    changes.set(table_.entry_at(position) + offsetof(TableEntry, at),
                table_.write(begin, room, key, value, item.message != 0));
    changes.set64(TABLE_AT(data_dead), head.data_dead + r.room + (begin - head.data_used));
    changes.set64(TABLE_AT(data_used), begin + room);
  }
  commit(changes, item, out);
}

void Opened::append(Bytes key, uint32_t hash, Bytes value, const Item& item) {
  const uint64_t room = room_of(key.length, value.length);
  make_room(1, room);
  uint64_t begin;
  if (!table_.tail(room, &begin)) corrupt("a table has no room");
  const Table& head = table_.head();
  const uint32_t position = table_.used();
  TableEntry& e = table_.entry(position);
  e = {table_.write(begin, room, key, value, item.message != 0), hash, head.sequence};
  crash_point();
  Changes changes;
  if (table_.slots() != 0) changes.set(table_.slot_at(table_.free_slot(hash)), position + 1);
  changes.set(TABLE_AT(used), position + 1);
  changes.set(TABLE_AT(live), head.live + 1);
  changes.set64(TABLE_AT(data_used), begin + room);
  if (begin != head.data_used) changes.set64(TABLE_AT(data_dead), head.data_dead + (begin - head.data_used));
  changes.set64(TABLE_AT(sequence), head.sequence + 1);
  commit(changes, item, 0);
}

/// The record of an entry that goes is garbage from now on.
void Opened::take_away(uint32_t position, Changes& changes) {
  const TableRecord& r = table_.record(table_.entry(position));
  const Table& head = table_.head();
  changes.set(TABLE_AT(live), head.live - 1);
  if (table_.slots() == 0 && head.live == 1) {  // an emptied list has all its room again
    changes.set(TABLE_AT(first), 0);
    changes.set(TABLE_AT(used), 0);
    changes.set64(TABLE_AT(data_used), 0);
    changes.set64(TABLE_AT(data_dead), 0);
  } else {
    changes.set64(TABLE_AT(data_dead), head.data_dead + r.room);
  }
  Item item{};
  const Offset out = item_in(r, &item);
  commit(changes, {}, out);
}

// ---- room
// ----------------------------------------------------------------------------------------------------------------

/// A new table, held by us.
Offset Opened::new_table(uint64_t entries, uint64_t bytes) {
  const TableShape shape = table_shape(c_.keyed != 0, entries, bytes);
  const Offset at = heap_allocate(actor_, slot_of(actor_.me), shape.bytes, Kind::kTable, Fill::kAny).offset;
  TableView::make(root_, at, shape).head().sequence = table_.head().sequence;
  return at;
}

/// Entries of one table, in their order, behind those of another that nobody sees yet.
void Opened::copy(const TableView& from, TableView& to, uint32_t first, uint32_t end) {
  Table& head = to.head();
  for (uint32_t position = first; position < end; position++) {
    const TableEntry& e = from.entry(position);
    if (e.at == 0) continue;
    const TableRecord& r = from.record(e);
    const Bytes key{TableView::key_of(r), r.key_bytes}, value{TableView::value_of(r), r.value_bytes};
    const uint64_t room = room_of(key.length, value.length);
    uint64_t begin;
    const uint32_t target = to.used();
    if (!to.tail(room, &begin) || target >= to.capacity()) corrupt("a table is fuller than it says");
    Item item{};
    if (item_in(r, &item) != 0) heap_put_into(actor_, to.at(), item.message);
    to.entry(target) = {to.write(begin, room, key, value, r.item != 0), e.hash, e.sequence};
    if (to.slots() != 0) root_.ref<uint32_t>(to.slot_at(to.free_slot(e.hash))) = target + 1;
    head.data_dead += begin - head.data_used;
    head.data_used = begin + room;
    head.used++;
    head.live++;
  }
}

void Opened::rebuild(uint64_t entries, uint64_t bytes) {
  Offset at = new_table(entries, bytes);
  try {
    TableView to(root_, at);
    copy(table_, to, table_.head().first, table_.used());
    publish(at);
  } catch (...) {
    heap_drop(actor_, slot_of(actor_.me), at);
    throw;
  }
}

void Opened::make_room(uint32_t entries, uint64_t bytes) {
  uint64_t begin;
  if (table_.capacity() - table_.used() >= entries && table_.tail(bytes, &begin)) return;
  const uint64_t live = uint64_t{table_.head().live} + entries, data = table_.data_live() + bytes;
  const auto more = [](uint64_t n, uint64_t many) { return n < many ? n * 2 : n + n / 2; };
  rebuild(more(live, 1 << 16), more(data, 1 << 20));
}

/// Gives memory back when little is left.
void Opened::shrink() {
  const Table& head = table_.head();
  const uint64_t data = table_.data_live();
  const bool sparse = table_.capacity() > kLeastShrunk && head.live < table_.capacity() / 8;
  const bool empty = table_.data_bytes() > kLeastDataShrunk && data < table_.data_bytes() / 8;
  if (!sparse && !empty) return;
  try {
    rebuild(uint64_t{head.live} * 2, data * 2);
  } catch (const SystemError&) {  // it is not needed
  }
}

void Opened::publish(Offset staged) {
  const Block block = heap_find(actor_, staged);
  if (block.kind != Kind::kTable) corrupt("no table");
  const Offset old = table_.at();
  const TableView now(root_, staged);
  c_.busy.store(1, std::memory_order_release);
  crash_point();
  heap_move(actor_, by_slot(slot_of(actor_.me)), by_container(at_), staged, block.generation,
            [&](Transaction& t) {
              t.set64(COLLECTION_AT(table), staged);
              t.set64(COLLECTION_AT(doomed), old);
            });
  table_ = now;
  crash_point();
  heap_take_out(actor_, at_, old, [&](Transaction& t) { t.set64(COLLECTION_AT(doomed), 0); });
  c_.busy.store(0, std::memory_order_release);
}

void Opened::clear() {
  const Offset at = new_table(0, 0);
  try {
    publish(at);
  } catch (...) {
    heap_drop(actor_, slot_of(actor_.me), at);
    throw;
  }
}

// ---- dictionaries
// --------------------------------------------------------------------------------------------------------

Found Opened::read(uint32_t position, void* into, size_t room) {
  const TableRecord& r = table_.record(table_.entry(position));
  Item item{};
  if (item_in(r, &item) != 0) {
    const Block block = heap_hold(actor_, slot_of(actor_.me), item.message, item.generation);
    if (block.kind != Kind::kMessage || block.bytes < sizeof(Message)) corrupt("no message");
    return {true, 0, item.message, block.bytes - sizeof(Message)};
  }
  if (r.value_bytes > room) corrupt("a value is longer than any may be");
  memcpy(into, TableView::value_of(r), r.value_bytes);
  return {true, r.value_bytes, 0, 0};
}

bool Opened::has(Bytes key) {
  must_be(true);
  return table_.find(key, hash_of(root_, key)) != kNoEntry;
}

Found Opened::get(Bytes key, void* into, size_t room) {
  must_be(true);
  const uint32_t position = table_.find(key, hash_of(root_, key));
  if (position == kNoEntry) return {};
  return read(position, into, room);
}

bool Opened::set(Bytes key, const Value& value) {
  must_be(true);
  if (key.length > kMaxInline) corrupt("a key is too long");
  Item item;
  const Bytes bytes = bytes_of(value, &item);
  const uint32_t hash = hash_of(root_, key);
  uint32_t position = table_.find(key, hash);
  if (position == kNoEntry) {
    append(key, hash, bytes, item);
    return true;
  }
  if (!fits_in_place(position, key.length, bytes.length)) {
    make_room(0, room_of(key.length, bytes.length));
    position = table_.find(key, hash);
  }
  replace(position, key, bytes, item);
  return false;
}

bool Opened::remove(Bytes key) {
  must_be(true);
  const uint32_t position = table_.find(key, hash_of(root_, key));
  if (position == kNoEntry) return false;
  Changes changes;
  changes.set(table_.entry_at(position) + offsetof(TableEntry, at), 0);
  take_away(position, changes);
  shrink();
  return true;
}

Opened::Step Opened::next(uint64_t after, uint64_t end, uint32_t position, void* into, size_t room,
                          bool with_value) {
  must_be(true);
  const uint32_t used = table_.used();
  // Where the last one was, the next one follows, unless the table was built anew.
  if (position < used && table_.entry(position).sequence == after)
    position++;
  else
    position = table_.first_after(after);
  for (; position < used; position++) {
    const TableEntry& e = table_.entry(position);
    if (e.sequence >= end) break;
    if (e.at == 0) continue;
    const TableRecord& r = table_.record(e);
    if (r.key_bytes > room) corrupt("a key is longer than any may be");
    memcpy(into, TableView::key_of(r), r.key_bytes);
    Step step{true, e.sequence, position, r.key_bytes, {}};
    if (with_value) step.value = read(position, static_cast<char*>(into) + r.key_bytes, room - r.key_bytes);
    return step;
  }
  return {};
}

// ---- lists
// ---------------------------------------------------------------------------------------------------------------

Found Opened::get(uint32_t index, void* into, size_t room) {
  must_be(false);
  if (index >= table_.head().live) return {};
  return read(table_.head().first + index, into, room);
}

bool Opened::set(uint32_t index, const Value& value) {
  must_be(false);
  if (index >= table_.head().live) return false;
  Item item;
  const Bytes bytes = bytes_of(value, &item);
  if (!fits_in_place(table_.head().first + index, 0, bytes.length)) make_room(0, room_of(0, bytes.length));
  replace(table_.head().first + index, {}, bytes, item);
  return true;
}

void Opened::push(const Value& value) {
  must_be(false);
  Item item;
  const Bytes bytes = bytes_of(value, &item);
  append({}, 0, bytes, item);
}

Found Opened::pop(bool first, void* into, size_t room) {
  must_be(false);
  const Table& head = table_.head();
  if (head.live == 0) return {};
  const uint32_t position = first ? head.first : table_.used() - 1;
  const Found found = read(position, into, room);
  Changes changes;
  if (first)
    changes.set(TABLE_AT(first), position + 1);
  else
    changes.set(TABLE_AT(used), position);
  take_away(position, changes);
  shrink();
  return found;
}

// ---- a list made anew
// ----------------------------------------------------------------------------------------------------

Offset Opened::stage(uint32_t items, uint64_t bytes) {
  must_be(false);
  return new_table(items, bytes);
}

/// Makes room for one more item, in a longer table if need be.
void Opened::stage_room(Offset* staged, uint64_t room) {
  TableView to(root_, *staged);
  uint64_t begin;
  if (to.used() < to.capacity() && to.tail(room, &begin)) return;
  const uint32_t slot = slot_of(actor_.me);
  const Offset at = new_table((uint64_t{to.used()} + 1) * 2, (to.data_live() + room) * 2);
  try {
    TableView longer(root_, at);
    copy(to, longer, 0, to.used());
  } catch (...) {
    heap_drop(actor_, slot, at);
    throw;
  }
  heap_drop(actor_, slot, *staged);
  *staged = at;
}

void Opened::stage_copy(Offset* staged, uint32_t from, uint32_t count) {
  must_be(false);
  const Table& head = table_.head();
  if (from > head.live || count > head.live - from) corrupt("no such items");
  for (uint32_t i = 0; i < count; i++) {
    const uint32_t position = head.first + from + i;
    const TableRecord& r = table_.record(table_.entry(position));
    stage_room(staged, room_of(r.key_bytes, r.value_bytes));
    TableView to(root_, *staged);
    copy(table_, to, position, position + 1);
  }
}

void Opened::stage_push(Offset* staged, const Value& value) {
  must_be(false);
  Item item;
  const Bytes bytes = bytes_of(value, &item);
  const uint64_t room = room_of(0, bytes.length);
  stage_room(staged, room);
  TableView to(root_, *staged);
  uint64_t begin;
  if (!to.tail(room, &begin)) corrupt("a table has no room");
  if (item.message != 0)
    heap_move(actor_, by_slot(slot_of(actor_.me)), by_container(*staged), item.message, item.generation,
              [](Transaction&) {});
  Table& head = to.head();
  to.entry(head.used) = {to.write(begin, room, {}, bytes, item.message != 0), 0, head.sequence};
  head.data_dead += begin - head.data_used;
  head.data_used = begin + room;
  head.used++;
  head.live++;
}

}  // namespace multiproc
