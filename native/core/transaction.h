// Compound changes of the root's lists (or of a collection) that are whole or not at all, whenever the
// process is killed.
//
// Under the root lock, changes are first written to the journal; commit() marks it committed and applies
// them. Who takes the root lock from a dead owner applies a committed journal once more (storing twice is
// harmless) and forgets any other. So every list is always either before or after a transaction.
//
//   owner: entries… → committed = n (release) → apply… → committed = 0
//   heir:  committed? apply, committed = 0
#pragma once
#include "core/root.h"

namespace multiproc {

class Transaction {
 public:
  explicit Transaction(Root& root) : Transaction(root, root.header().journal) {}
  /// With a journal of its own, under whatever lock protects what is changed.
  template <uint32_t N>
  Transaction(Root& root, JournalOf<N>& journal)
      : root_(root), committed_(journal.committed), entries_(journal.entries), most_(N) {}
  Transaction(const Transaction&) = delete;
  Transaction& operator=(const Transaction&) = delete;

  /// What the word will be: pending changes of this transaction are seen.
  uint32_t get(Offset offset) {
    for (uint32_t i = count_; i-- > 0;)
      if (entries_[i].target == offset << 1) return static_cast<uint32_t>(entries_[i].value);
    return root_.ref<uint32_t>(offset);
  }
  uint64_t get64(Offset offset) {
    for (uint32_t i = count_; i-- > 0;)
      if (entries_[i].target == (offset << 1 | 1)) return entries_[i].value;
    return root_.ref<uint64_t>(offset);
  }
  void set(Offset offset, uint32_t value) { add(offset << 1, value); }
  void set64(Offset offset, uint64_t value) { add(offset << 1 | 1, value); }

  void commit() {
    crash_point();
    committed_.store(count_, std::memory_order_release);
    crash_point();
    apply(root_, committed_, entries_, most_);
    count_ = 0;
  }

  /// Applies what is committed; for the owner, and for its heir.
  static void apply(Root& root) { apply(root, root.header().journal); }
  template <uint32_t N>
  static void apply(Root& root, JournalOf<N>& journal) {
    apply(root, journal.committed, journal.entries, N);
  }

 private:
  void add(uint64_t target, uint64_t value) {
    root_.at(target >> 1, target & 1 ? 8 : 4);  // maps it now: apply() must not fail
    for (uint32_t i = 0; i < count_; i++)
      if (entries_[i].target == target) {
        entries_[i].value = value;
        return;
      }
    if (count_ == most_) throw Refusal{"ERR_MP_CORRUPT", "a change of the shared memory is too long"};
    entries_[count_].target = target;
    entries_[count_].value = value;
    count_++;
    crash_point();
  }

  static void apply(Root& root, Word& committed, JournalEntry* entries, uint32_t most);

  Root& root_;
  Word& committed_;
  JournalEntry* entries_;
  uint32_t most_;
  uint32_t count_ = 0;
};

/// Offsets of fields, for transactions.
#define MULTIPROC_HEADER_FIELD(field) static_cast<Offset>(offsetof(Header, field))
#define MULTIPROC_SLOT_FIELD(index, field) (Root::slot_at(index) + offsetof(Slot, field))
#define MULTIPROC_HOLD_FIELD(index, field) (Root::hold_at(index) + offsetof(Hold, field))
#define MULTIPROC_SPAN_FIELD(index, field) (Root::span_at(index) + offsetof(SpanEntry, field))

}  // namespace multiproc
