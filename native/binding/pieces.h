// Copies between private memory and a block, window by window.
#pragma once
#include <algorithm>

#include "core/root.h"

namespace multiproc {

template <class F>
void each_piece(Root& root, Offset offset, uint64_t bytes, F copy) {
  for (uint64_t at = 0; at < bytes;) {
    const uint64_t n = std::min(bytes - at, kWindowBytes - (offset + at) % kWindowBytes);
    copy(static_cast<char*>(root.at(offset + at, n)), at, n);
    at += n;
  }
}

}  // namespace multiproc
