#include "core/transaction.h"

namespace multiproc {

#ifdef MULTIPROC_CRASH_POINTS
std::atomic<int64_t> crash_countdown{0};
void (*crash_action)() = nullptr;
void crash_point() {
  if (crash_action != nullptr && crash_countdown.fetch_sub(1) == 1) crash_action();
}
#endif

void Transaction::apply(Root& root) {
  Journal& journal = root.header().journal;
  uint32_t count = journal.committed.load(std::memory_order_acquire);
  if (count > kJournalEntries) throw Refusal{"ERR_MP_CORRUPT", "the journal of the shared memory is damaged"};
  for (uint32_t i = 0; i < count; i++) {
    uint64_t target = journal.entries[i].target;
    if (target & 1)
      __atomic_store_n(&root.ref<uint64_t>(target >> 1), journal.entries[i].value, __ATOMIC_RELAXED);
    else
      __atomic_store_n(&root.ref<uint32_t>(target >> 1), static_cast<uint32_t>(journal.entries[i].value),
                       __ATOMIC_RELAXED);
    crash_point();
  }
  journal.committed.store(0, std::memory_order_release);
  crash_point();
}

}  // namespace multiproc
