#include "core/table.h"

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "core/heap.h"

namespace multiproc {

namespace {

[[noreturn]] void corrupt(const char* what) { throw Refusal{"ERR_MP_CORRUPT", what}; }

constexpr uint32_t kMaxEntries = 1u << 30;
constexpr uint64_t kMaxData = uint64_t{1} << 35;  ///< what 32 bits of 8 bytes each can name

constexpr uint64_t head_bytes(uint64_t slots, uint64_t capacity) {
  return sizeof(Table) + slots * sizeof(uint32_t) + capacity * sizeof(TableEntry);
}

inline uint64_t rotate(uint64_t x, int by) { return x << by | x >> (64 - by); }

struct Sip {
  uint64_t v0, v1, v2, v3;
  void round() {
    v0 += v1, v1 = rotate(v1, 13), v1 ^= v0, v0 = rotate(v0, 32);
    v2 += v3, v3 = rotate(v3, 16), v3 ^= v2;
    v0 += v3, v3 = rotate(v3, 21), v3 ^= v0;
    v2 += v1, v1 = rotate(v1, 17), v1 ^= v2, v2 = rotate(v2, 32);
  }
  void take(uint64_t word) {
    v3 ^= word;
    round();
    v0 ^= word;
  }
};

}  // namespace

uint32_t hash_of(Root& root, Bytes key) {
  uint64_t k0, k1;
  memcpy(&k0, root.header().id, 8);
  memcpy(&k1, root.header().id + 8, 8);
  Sip sip{k0 ^ 0x736f6d6570736575ull, k1 ^ 0x646f72616e646f6dull, k0 ^ 0x6c7967656e657261ull,
          k1 ^ 0x7465646279746573ull};
  const char* data = static_cast<const char*>(key.data);
  uint32_t at = 0;
  for (; at + 8 <= key.length; at += 8) {
    uint64_t word;
    memcpy(&word, data + at, 8);
    sip.take(word);
  }
  uint64_t last = uint64_t{key.length} << 56;
  memcpy(&last, data + at, key.length - at);
  sip.take(last);
  sip.v2 ^= 0xff;
  for (int i = 0; i < 3; i++) sip.round();
  const uint64_t hash = sip.v0 ^ sip.v1 ^ sip.v2 ^ sip.v3;
  return static_cast<uint32_t>(hash ^ hash >> 32);
}

TableShape table_shape(bool keyed, uint64_t entries, uint64_t data_bytes) {
  if (entries > kMaxEntries || data_bytes > kMaxData) throw SystemError{ENOSPC, "fallocate"};
  uint32_t capacity = 8;
  while (capacity < entries) capacity += capacity < 1u << 20 ? capacity : capacity / 2;
  uint32_t slots = keyed ? 16 : 0;
  while (keyed && slots < uint64_t{capacity} * 3 / 2) slots *= 2;
  // Whatever the block has beyond is room for records.
  const uint64_t bytes = heap_footprint(head_bytes(slots, capacity) + (data_bytes + 7) / 8 * 8);
  return {slots, capacity, bytes};
}

TableView TableView::make(Root& root, Offset at, const TableShape& shape) {
  Table& head = root.ref<Table>(at);
  const uint64_t fixed = head_bytes(shape.slots, shape.capacity);
  head = {head.held, shape.slots, shape.capacity, shape.bytes - fixed, 0, 0, 0, 0, 0, 0, 1};
  const TableView table(root, at);
  const uint64_t end = uint64_t{shape.slots} * sizeof(uint32_t);
  for (uint64_t done = 0; done < end;) {
    const Offset from = table.index_at_ + done;
    const uint64_t piece = std::min(end - done, kWindowBytes - from % kWindowBytes);
    memset(root.at(from, piece), 0, piece);
    done += piece;
  }
  return table;
}

TableView::TableView(Root& root, Offset at) : root_(&root), at_(at) {
  const uint64_t bytes = heap_length(root, at, Kind::kTable);
  if (bytes < sizeof(Table)) corrupt("a collection's table is none");
  head_ = &root.ref<Table>(at);
  slots_ = head_->slots;
  capacity_ = head_->capacity;
  data_bytes_ = head_->data_bytes;
  if ((slots_ & (slots_ - 1)) != 0 || slots_ == 1 || capacity_ > 2 * kMaxEntries ||
      data_bytes_ > 2 * kMaxData)
    corrupt("a table has impossible measures");
  index_at_ = at + sizeof(Table);
  entries_at_ = index_at_ + uint64_t{slots_} * sizeof(uint32_t);
  data_at_ = entries_at_ + uint64_t{capacity_} * sizeof(TableEntry);
  if (data_at_ - at + data_bytes_ > bytes) corrupt("a table is longer than its block");
  // The next table is made by these.
  const Table& h = *head_;
  if (h.used > capacity_ || h.first > h.used || h.live > h.used - h.first || h.data_used > data_bytes_ ||
      h.data_dead > h.data_used)
    corrupt("a table has more in it than it has room for");
}

TableEntry& TableView::entry(uint32_t position) const {
  if (position >= capacity_) corrupt("an entry lies outside its table");
  return root_->ref<TableEntry>(entry_at(position));
}

TableRecord& TableView::record(const TableEntry& entry) const {
  const uint64_t begin = (uint64_t{entry.at} - 1) * 8;
  if (entry.at == 0 || begin > data_bytes_ || data_bytes_ - begin < sizeof(TableRecord))
    corrupt("a record lies outside its table");
  TableRecord& record = root_->ref<TableRecord>(data_at_ + begin);
  const uint64_t room = record.room;
  if (room > data_bytes_ - begin || room > kWindowBytes ||
      sizeof(TableRecord) + uint64_t{record.key_bytes} + record.value_bytes > room)
    corrupt("a record is longer than its place");
  root_->at(data_at_ + begin, room);
  return record;
}

bool TableView::tail(uint64_t room, uint64_t* begin) const {
  uint64_t used = head_->data_used;
  if (used > data_bytes_ || used % 8 != 0) corrupt("a table's end lies outside of it");
  // A record lies within one window.
  const uint64_t inside = (data_at_ + used) % kWindowBytes;
  if (inside + room > kWindowBytes) used += kWindowBytes - inside;
  if (used > data_bytes_ || data_bytes_ - used < room) return false;
  *begin = used;
  return true;
}

uint32_t TableView::write(uint64_t begin, uint64_t room, Bytes key, Bytes value, bool item) const {
  char* to = static_cast<char*>(root_->at(data_at_ + begin, room));
  const TableRecord head{static_cast<uint32_t>(room), key.length, value.length, item};
  memcpy(to, &head, sizeof head);
  crash_point();
  if (key.length != 0) memcpy(to + sizeof head, key.data, key.length);
  if (value.length != 0) memcpy(to + sizeof head + key.length, value.data, value.length);
  crash_point();
  return static_cast<uint32_t>(begin / 8 + 1);
}

uint32_t TableView::find(Bytes key, uint32_t hash) const {
  const uint32_t used = this->used();
  for (uint32_t step = 0; step < slots_; step++) {
    const uint32_t found = root_->ref<uint32_t>(slot_at((hash + step) & (slots_ - 1)));
    if (found == 0) return kNoEntry;
    if (found > used) corrupt("an index leads outside its table");
    const TableEntry& e = entry(found - 1);
    if (e.hash != hash || e.at == 0) continue;
    const TableRecord& r = record(e);
    if (r.key_bytes == key.length && memcmp(key_of(r), key.data, key.length) == 0) return found - 1;
  }
  return kNoEntry;
}

uint32_t TableView::free_slot(uint32_t hash) const {
  for (uint32_t step = 0; step < slots_; step++) {
    const uint32_t slot = (hash + step) & (slots_ - 1);
    if (root_->ref<uint32_t>(slot_at(slot)) == 0) return slot;
  }
  corrupt("an index is full");
}

uint32_t TableView::first_after(uint64_t sequence) const {
  uint32_t low = 0, high = used();
  while (low < high) {
    const uint32_t middle = low + (high - low) / 2;
    if (entry(middle).sequence <= sequence)
      low = middle + 1;
    else
      high = middle;
  }
  return low;
}

}  // namespace multiproc
