// One change of the heap: a transaction and the steps it is made of, and where blocks lie. heap.cc makes
// operations of them; all of this is called with the root lock held.
//
//   data area: spans ── small: blocks of one size class, behind their metas
//                    └─ runs of spans: one large block, or free, or warm (free, with memory that is still
//                    there)
//
// Internal to the heap.
#pragma once
#include "core/heap.h"
#include "core/transaction.h"

namespace multiproc {

[[noreturn]] void corrupt_heap(const char* what);

/// Where a block and its meta lie.
struct Place {
  uint32_t span;
  bool small;
  uint32_t size_class;
  uint32_t index;
  Offset meta;
  Offset data;
  Offset field(size_t offset) const { return meta + offset; }
};

Place small_place(uint32_t span, uint32_t size_class, uint32_t index);

/// One change of the heap: a transaction and the steps it is made of.
class Change {
 public:
  explicit Change(Actor& actor) : root_(actor.root), t_(root_) {}

  void commit() { t_.commit(); }

  Place take_small(uint32_t size_class, bool* fresh);
  Place take_large(uint32_t pages, bool* warm);
  void describe(const Place& place, uint64_t bytes, Kind kind);
  void add_hold(const Place& place, Holder holder);
  /// False: the holder holds no such block. `*last`: nobody does any more.
  bool remove_hold(const Place& place, Holder holder, bool* last);
  bool cool_one(uint32_t* freed_span, uint32_t* freed_pages);
  Transaction& transaction() { return t_; }
  /// Returns the run of spans that became free, if any.
  void give_back(const Place& place, uint64_t bytes, uint32_t* freed_span, uint32_t* freed_pages);
  Place find(Offset offset);

 private:
  uint32_t span(uint32_t index, size_t field) { return t_.get(Root::span_at(index) + field); }
  void set_span(uint32_t index, size_t field, uint32_t value) { t_.set(Root::span_at(index) + field, value); }
  uint32_t head(size_t field) { return t_.get(field); }
  void set_head(size_t field, uint32_t value) { t_.set(field, value); }
  void link(size_t list, uint32_t index);
  void unlink(size_t list, uint32_t index);
  uint32_t take_run(uint32_t pages);
  uint32_t take_warm(uint32_t pages);
  void keep_warm(uint32_t index, uint32_t pages);
  void free_run(uint32_t index, uint32_t pages);
  void set_free_run(uint32_t index, uint32_t pages);
  void clear_free_run(uint32_t index);
  void reserve_table(Offset from, Offset to);

  Root& root_;
  Transaction t_;
};

/// The place that an offset names, if there is one, as the tables say now; no change has begun.
bool locate(Root& root, Offset offset, Place* out);
/// A living block at this place; throws for a free one.
Block living(Root& root, const Place& place);
bool holds(Root& root, const Place& place, Holder holder);

}  // namespace multiproc
