#include "core/transaction.h"

namespace multiproc {

#ifdef MULTIPROC_CRASH_POINTS
std::atomic<int64_t> crash_countdown{0};
void (*crash_action)() = nullptr;
void crash_point() {
  if (crash_action != nullptr && crash_countdown.fetch_sub(1) == 1) crash_action();
}
#endif

void Transaction::apply(Root& root, Word& committed, JournalEntry* entries, uint32_t most) {
  uint32_t count = committed.load(std::memory_order_acquire);
  if (count > most) throw Refusal{"ERR_MP_CORRUPT", "the journal of the shared memory is damaged"};
  for (uint32_t i = 0; i < count; i++) {
    uint64_t target = entries[i].target;
    if (target & 1)
      __atomic_store_n(&root.ref<uint64_t>(target >> 1), entries[i].value, __ATOMIC_RELAXED);
    else
      __atomic_store_n(&root.ref<uint32_t>(target >> 1), static_cast<uint32_t>(entries[i].value),
                       __ATOMIC_RELAXED);
    crash_point();
  }
  committed.store(0, std::memory_order_release);
  crash_point();
}

}  // namespace multiproc
