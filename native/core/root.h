// The mapping of a root into this process: offsets to addresses, window by window, checked.
#pragma once
#include <atomic>
#include <memory>
#include <string>

#include "core/error.h"
#include "core/layout.h"

namespace multiproc {

#ifdef MULTIPROC_CRASH_POINTS
/// Tests end the process here, at each of these places in turn.
void crash_point();
#else
inline void crash_point() {}
#endif

class Root {
 public:
  static std::unique_ptr<Root> create();
  /// Adopts an inherited handle; refuses another layout, another id or another pid namespace.
  static std::unique_ptr<Root> attach(platform::MemoryHandle memory, const std::string& id);
  ~Root();
  Root(const Root&) = delete;
  Root& operator=(const Root&) = delete;

  platform::MemoryHandle memory() const { return memory_; }
  Header& header() const { return *header_; }
  std::string id() const;
  uint64_t bytes() const { return bytes_; }

  /// The address of `length` bytes that lie within one window. Refuses anything outside the root.
  void* at(Offset offset, size_t length) {
    if (offset > bytes_ || length > bytes_ - offset || (offset % kWindowBytes) + length > kWindowBytes)
      throw Refusal{"ERR_MP_CORRUPT", "an offset lies outside the shared memory"};
    char* window = windows_[offset / kWindowBytes].load(std::memory_order_acquire);
    if (window == nullptr) window = map_window(offset / kWindowBytes);
    return window + offset % kWindowBytes;
  }
  template <class T>
  T& ref(Offset offset) {
    if (offset % alignof(T) != 0) throw Refusal{"ERR_MP_CORRUPT", "an offset is not aligned"};
    return *static_cast<T*>(at(offset, sizeof(T)));
  }

  static Offset slot_at(uint32_t index) { return kSlotsAt + Offset{index} * sizeof(Slot); }
  static Offset hold_at(uint32_t index) { return kHoldsAt + Offset{index} * sizeof(Hold); }
  static Offset span_at(uint32_t index) { return kSpansAt + Offset{index} * sizeof(SpanEntry); }
  static Offset data_at(uint32_t span) { return kDataAt + Offset{span} * kSpanBytes; }
  uint32_t max_spans() const { return static_cast<uint32_t>((bytes_ - kDataAt) / kSpanBytes); }

  Slot& slot(uint32_t index) {
    if (index >= kSlots) throw Refusal{"ERR_MP_CORRUPT", "a slot number is out of range"};
    return *reinterpret_cast<Slot*>(base_ + slot_at(index));
  }

 private:
  Root(platform::MemoryHandle memory, uint64_t bytes);
  char* map_window(uint64_t index);

  platform::MemoryHandle memory_;
  uint64_t bytes_;
  std::atomic<char*>* windows_;  ///< by calloc: two megabytes of which few pages are ever touched
  char* base_ = nullptr;         ///< window 0, where header and slots lie
  Header* header_ = nullptr;
};

}  // namespace multiproc
