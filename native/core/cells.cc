#include "core/cells.h"

namespace multiproc {

void cells_tell_of_death(Root& root, Ringer& ringer, Offset object) {
  for (Offset at = object + kSyncHead; at < object + kSyncCellsEnd; at += sizeof(SyncCell)) {
    SyncCell& cell = root.ref<SyncCell>(at);
    uint32_t waiting = kCellWaiting;
    Owner owner = cell.owner.load();
    if (owner < kSlots || !cell.state.compare_exchange_strong(waiting, kCellLook)) continue;
    if (cell.tag.load() & kCellAsync)
      ringer.ring(slot_of(owner));
    else
      platform::wake(&cell.state, platform::kWakeAll);
  }
}

bool cell_look_for_dead(Root& root, Offset cell) {
  const Offset object = cell - cell % kSyncBytes;  // as blocks of this size lie
  for (Offset at = object + kSyncHead; at < object + kSyncCellsEnd; at += sizeof(SyncCell)) {
    Owner owner = root.ref<SyncCell>(at).owner.load();
    if (owner < kSlots || !owner_reaped(root, owner)) continue;
    uint32_t waiting = kCellWaiting;
    root.ref<SyncCell>(cell).state.compare_exchange_strong(waiting, kCellLook);
    return true;
  }
  return false;
}

}  // namespace multiproc
