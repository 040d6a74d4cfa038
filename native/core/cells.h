// The cells of semaphores, conditions, events, barriers and read-write locks, as far as the core knows them:
// who waits is told of deaths. lib/sync/monitor.ts puts in order what the dead had.
#pragma once
#include "core/lock.h"

namespace multiproc {

/// Tells all who wait in the object's cells that an owner has died, who counts as reaped already: so who
/// begins to wait from now on sees that by itself.
void cells_tell_of_death(Root& root, Ringer& ringer, Offset object);

/// A net below that, for a waiter whose sleep has ended by time: the dead one may have let go of the object
/// while it still had something of it, so that nobody told. True: there is one, and the cell is marked.
bool cell_look_for_dead(Root& root, Offset cell);

}  // namespace multiproc
