// Sleeping on words of shared memory, which Windows can do within one process only (WaitOnAddress).
//
//   a root = [ lot: 256 KiB, one entry for each thread that sleeps | what the core sees ]
//
//   sleeper   takes one of its process's entries, writes into it which words it sleeps on, looks at the words
//             again, and waits for the entry's event (and for processes whose life words it watches)
//   waker     has changed a word; looks through the entries; takes the word out of one that has it (who does
//             that has woken it) and sets its event, of which it has a copy
//
// Killed midway: a sleeper's entry is skipped, freed and used again, as its process is dead. A waker between
// taking the word out and setting the event: the sleeper looks every 100 ms whether its word is still there.
#pragma once
#include <cstdint>

#include "platform/platform.h"

namespace multiproc::platform {

constexpr uint64_t kLotBytes = uint64_t{256} << 10;

class Lot;

/// `shared`: the first kLotBytes of a root, zeros when it is new.
Lot* lot_open(void* shared);
/// Nobody of this process sleeps here any more.
void lot_close(Lot* lot);

/// The lot for a word, and the word's place in its root; nullptr: it does not lie in a root. In memory.cc.
Lot* lot_of(const Word* word, uint64_t* place);

}  // namespace multiproc::platform
