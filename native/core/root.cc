#include "core/root.h"

#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <random>

namespace multiproc {

static_assert(kSlotsAt + kSlots * sizeof(Slot) <= kHoldsAt, "slots fit before the hold records");
static_assert(kHoldsAt + uint64_t{kMaxHolds} * sizeof(Hold) <= kSpansAt,
              "hold records fit before the span table");
static_assert(kSpansAt + (kRootBytes / kSpanBytes) * sizeof(SpanEntry) <= kDataAt, "the span table fits");
static_assert(kHoldsAt <= kWindowBytes, "header and slots lie in the first window");

static std::string hex(const uint8_t* bytes, size_t n) {
  std::string text;
  for (size_t i = 0; i < n; i++) {
    text += "0123456789abcdef"[bytes[i] >> 4];
    text += "0123456789abcdef"[bytes[i] & 15];
  }
  return text;
}

Root::Root(platform::MemoryHandle memory, uint64_t bytes)
    : memory_(memory),
      bytes_(bytes),
      windows_(
          static_cast<std::atomic<char*>*>(calloc(bytes / kWindowBytes + 1, sizeof(std::atomic<char*>)))) {
  if (windows_ == nullptr) throw SystemError{ENOMEM, "calloc"};
  base_ = map_window(0);
  header_ = reinterpret_cast<Header*>(base_);
}

Root::~Root() {
  for (uint64_t i = 0; i <= bytes_ / kWindowBytes; i++)
    if (char* window = windows_[i].load()) platform::memory_unmap(window, kWindowBytes);
  free(windows_);
  platform::memory_close(memory_);
}

char* Root::map_window(uint64_t index) {
  void* p;
  check_system(platform::memory_map(memory_, index * kWindowBytes, kWindowBytes, &p), "mmap");
  char* mine = static_cast<char*>(p);
  char* expected = nullptr;
  if (windows_[index].compare_exchange_strong(expected, mine, std::memory_order_acq_rel)) return mine;
  platform::memory_unmap(p, kWindowBytes);  // another thread was faster
  return expected;
}

std::unique_ptr<Root> Root::create() {
  uint64_t bytes = kRootBytes;
  platform::MemoryHandle memory;
  check_system(platform::memory_create(&bytes, &memory), "memfd_create");
  bytes -= bytes % kWindowBytes;
  if (bytes < kDataAt + kWindowBytes) {
    platform::memory_close(memory);
    throw Refusal{
        "ERR_MP_UNSUPPORTED",
        "shared memory needs a file size limit of more than 8 GiB (sparse: nothing of it is used in "
        "advance); raise it with 'ulimit -f unlimited'"};
  }
  check_system(platform::memory_reserve(memory, 0, kHoldsAt + kSpanBytes), "fallocate");
  std::unique_ptr<Root> root(new Root(memory, bytes));
  Header& h = root->header();
  h.bytes = bytes;
  h.version = kLayoutVersion;
  h.pid_namespace = platform::pid_namespace();
  h.hold_high = 1;
  h.next_generation = 1;
  std::random_device random;
  for (size_t i = 0; i < sizeof h.id; i += 4) {
    uint32_t r = random();
    memcpy(h.id + i, &r, 4);
  }
  std::atomic_thread_fence(std::memory_order_release);
  h.magic = kMagic;
  return root;
}

std::unique_ptr<Root> Root::attach(platform::MemoryHandle memory, const std::string& id) {
  void* p;
  check_system(platform::memory_map(memory, 0, kWindowBytes, &p), "mmap");
  Header seen;
  memcpy(static_cast<void*>(&seen), p, sizeof seen);
  platform::memory_unmap(p, kWindowBytes);
  if (seen.magic != kMagic || hex(seen.id, sizeof seen.id) != id)
    throw Refusal{"ERR_MP_STATE",
                  "the inherited descriptor is not the shared memory of the process that started this one"};
  if (seen.version != kLayoutVersion)
    throw Refusal{"ERR_MP_UNSUPPORTED",
                  "the processes use copies of multiproc with different memory layouts (" +
                      std::to_string(seen.version) + " and " + std::to_string(kLayoutVersion) +
                      "): install one version for both"};
  if (seen.bytes > kRootBytes || seen.bytes < kDataAt || seen.bytes % kWindowBytes != 0)
    throw Refusal{"ERR_MP_CORRUPT", "the shared memory has an impossible size"};
  if (seen.pid_namespace != platform::pid_namespace())
    throw Refusal{
        "ERR_MP_UNSUPPORTED",
        "processes of different pid namespaces cannot share memory: neither can see whether the other lives"};
  return std::unique_ptr<Root>(new Root(memory, seen.bytes));
}

std::string Root::id() const { return hex(header_->id, sizeof header_->id); }

}  // namespace multiproc
