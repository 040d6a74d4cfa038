// The table of a collection: where its index, entries and records lie. What is read of it is checked: its
// numbers may be anything. Under the collection's lock, or not published yet.
//
//   Table head (64 bytes) · index, slots × 4 · entries, capacity × 16 · data: records, appended
#pragma once
#include "core/root.h"

namespace multiproc {

struct Bytes {
  const void* data;
  uint32_t length;
};

constexpr uint32_t kNoEntry = UINT32_MAX;
/// The room of a value that is shorter: any number takes the place of any other.
constexpr uint32_t kMinValue = 10;
/// Records up to this many bytes are changed in place.
constexpr uint32_t kMaxInPlace = 128;

constexpr uint64_t room_of(uint64_t key, uint64_t value) {
  return (sizeof(TableRecord) + key + (value < kMinValue ? kMinValue : value) + 7) / 8 * 8;
}

/// How long a table for so many entries and bytes of records is to be.
struct TableShape {
  uint32_t slots;
  uint32_t capacity;
  uint64_t bytes;  ///< in all
};
/// Throws ENOSPC for what no table can hold.
TableShape table_shape(bool keyed, uint64_t entries, uint64_t data_bytes);

class TableView {
 public:
  /// A table that is there. Throws ERR_MP_CORRUPT.
  TableView(Root& root, Offset at);
  /// An empty one in a new block, of whatever contents.
  static TableView make(Root& root, Offset at, const TableShape& shape);

  Offset at() const { return at_; }
  Table& head() const { return *head_; }
  Offset end() const { return data_at_ + data_bytes_; }
  uint32_t capacity() const { return capacity_; }
  uint32_t slots() const { return slots_; }
  uint64_t data_bytes() const { return data_bytes_; }
  Offset slot_at(uint32_t slot) const { return index_at_ + uint64_t{slot} * sizeof(uint32_t); }
  Offset entry_at(uint32_t position) const { return entries_at_ + uint64_t{position} * sizeof(TableEntry); }
  /// Of an entry that is in use: throws for a position beyond.
  TableEntry& entry(uint32_t position) const;
  /// The record of an entry, all of it: its lengths fit.
  TableRecord& record(const TableEntry& entry) const;
  static const char* key_of(const TableRecord& record) { return reinterpret_cast<const char*>(&record + 1); }
  static const char* value_of(const TableRecord& record) { return key_of(record) + record.key_bytes; }
  Offset record_at(const TableEntry& entry) const { return data_at_ + (uint64_t{entry.at} - 1) * 8; }

  /// How many entries are in use.
  uint32_t used() const { return head_->used; }
  /// Bytes of records that are some entry's.
  uint64_t data_live() const { return head_->data_used - head_->data_dead; }
  /// Where a record of so many bytes would begin (in the data); false: there is no room.
  bool tail(uint64_t room, uint64_t* begin) const;
  /// Writes a record that nobody sees yet, and gives what an entry says of it.
  uint32_t write(uint64_t begin, uint64_t room, Bytes key, Bytes value, bool item) const;
  uint32_t find(Bytes key, uint32_t hash) const;
  /// The first slot of the index that is free for this hash.
  uint32_t free_slot(uint32_t hash) const;
  /// The first entry whose sequence is greater.
  uint32_t first_after(uint64_t sequence) const;

 private:
  Root* root_;
  Offset at_;
  Table* head_;
  uint32_t slots_, capacity_;
  uint64_t data_bytes_;
  Offset index_at_, entries_at_, data_at_;
};

/// SipHash-1-3 with the root's id, which is random: keys that collide cannot be chosen.
uint32_t hash_of(Root& root, Bytes key);

}  // namespace multiproc
