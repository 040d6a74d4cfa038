// Blocks as JavaScript sees them. A block is kept by the objects that were given as its owners; the addon
// refers to them weakly and looks itself which are gone, because finalizers do not run inside a synchronous
// loop.
#include <algorithm>

#include "binding/state.h"

namespace multiproc {

namespace {

constexpr size_t kArrayHead = 64;  ///< the lock of a locked array, on a cache line of its own

Kind kind_of(const Napi::Value& value) {
  uint32_t kind = value.As<Napi::Number>().Uint32Value();
  if (kind >= static_cast<uint32_t>(Kind::kCount)) throw Refusal{"ERR_MP_CORRUPT", "no such kind of block"};
  return static_cast<Kind>(kind);
}

size_t head_of(Kind kind) { return kind == Kind::kLockedArray ? kArrayHead : 0; }

/// The last object is gone: nobody here needs the block.
void end(State& state, std::unordered_map<Offset, Tracked>::iterator it) {
  if (it->second.mapping != nullptr) platform::memory_unmap(it->second.mapping, it->second.mapped);
  it->second.mapping = nullptr;  // the drop below may throw, and the address be another's by the next try
  Actor actor = state.actor();
  actor.interrupted = nullptr;
  heap_drop(actor, state.environment().slot(), it->first);
  state.tracked.erase(it);
}

napi_value live(State& state, napi_ref ref) {
  napi_value value = nullptr;
  if (ref == nullptr || napi_get_reference_value(state.env(), ref, &value) != napi_ok) return nullptr;
  return value;
}

/// The ArrayBuffer over the data of a block that this environment holds and does not track yet.
Napi::Value make_buffer(State& state, const Block& block) {
  Napi::Env env(state.env());
  const size_t head = head_of(block.kind);
  if (block.bytes < head) throw Refusal{"ERR_MP_CORRUPT", "an array is shorter than its head"};
  const size_t length = block.bytes - head;
  Tracked& tracked = state.tracked[block.offset];
  char* data;
  if (block.bytes <= kMaxSmall) {
    data = state.window(block.offset / kWindowBytes) + block.offset % kWindowBytes;
  } else {
    if (tracked.mapping != nullptr) {  // of a buffer that was collected and not swept yet
      platform::memory_unmap(tracked.mapping, tracked.mapped);
      tracked.mapping = nullptr;
    }
    tracked.mapped = heap_footprint(block.bytes);
    check_system(platform::memory_map(state.environment().root().memory(), block.offset, tracked.mapped,
                                      &tracked.mapping),
                 "mmap");
    data = static_cast<char*>(tracked.mapping);
  }
  napi_value buffer;
  napi_status status =
      length == 0 ? napi_create_arraybuffer(env, 0, nullptr, &buffer)
                  : napi_create_external_arraybuffer(env, data + head, length, nullptr, nullptr, &buffer);
  if (status == napi_no_external_buffers_allowed)
    throw Refusal{"ERR_MP_UNSUPPORTED",
                  "this runtime does not allow memory from outside its own heap (Electron 21 and later)"};
  if (status != napi_ok) throw SystemError{ENOMEM, "napi_create_external_arraybuffer"};
  track(state, block.offset, buffer);
  state.tracked[block.offset].buffer = state.tracked[block.offset].owners.back();
  return Napi::Value(env, buffer);
}

Napi::Value window(const Napi::CallbackInfo& info) {
  return guarded(info.Env(), [&] {
    State& state = State::of(info.Env());
    char* address = state.window(static_cast<uint64_t>(info[0].As<Napi::Number>().Int64Value()));
    napi_value buffer;
    if (napi_create_external_arraybuffer(info.Env(), address, kWindowBytes, nullptr, nullptr, &buffer) !=
        napi_ok)
      throw Refusal{"ERR_MP_UNSUPPORTED",
                    "this runtime does not allow memory from outside its own heap (Electron 21 and later)"};
    return Napi::Value(info.Env(), buffer);
  });
}

Napi::Value allocate(const Napi::CallbackInfo& info) {
  return guarded(info.Env(), [&] {
    State& state = State::of(info.Env());
    uint64_t bytes = offset_of(info[1]);
    before_allocating(state, bytes);
    Actor actor = state.actor();
    Block block = heap_allocate(actor, state.environment().slot(), bytes, kind_of(info[2]));
    track(state, block.offset, info[0]);
    return Napi::Number::New(info.Env(), static_cast<double>(block.offset));
  });
}

Napi::Value allocate_buffer(const Napi::CallbackInfo& info) {
  return guarded(info.Env(), [&] {
    State& state = State::of(info.Env());
    Kind kind = kind_of(info[1]);
    uint64_t bytes = offset_of(info[0]) + head_of(kind);
    before_allocating(state, bytes);
    Actor actor = state.actor();
    Block block = heap_allocate(actor, state.environment().slot(), bytes, kind);
    Napi::Object result = Napi::Object::New(info.Env());
    try {
      result["buffer"] = make_buffer(state, block);
    } catch (...) {
      end(state, state.tracked.find(block.offset));
      throw;
    }
    result["offset"] = Napi::Number::New(info.Env(), static_cast<double>(block.offset));
    return result;
  });
}

/// Holds a block that came from elsewhere. `*known`: this environment tracks it already.
Block hold(State& state, const Napi::CallbackInfo& info, size_t first, bool* known) {
  Offset offset = offset_of(info[first]);
  Kind kind = kind_of(info[first + 2]);
  Actor actor = state.actor();
  Block block =
      heap_hold(actor, state.environment().slot(), offset, info[first + 1].As<Napi::Number>().Uint32Value());
  *known = state.tracked.count(offset) != 0;
  if (block.kind != kind) {
    if (!*known) heap_drop(actor, state.environment().slot(), offset);
    throw Refusal{"ERR_MP_CORRUPT", "a handle names an object of another kind"};
  }
  return block;
}

void adopt(const Napi::CallbackInfo& info) {
  guarded(info.Env(), [&] {
    State& state = State::of(info.Env());
    bool known;
    Block block = hold(state, info, 1, &known);
    track(state, block.offset, info[0]);
  });
}

Napi::Value adopt_buffer(const Napi::CallbackInfo& info) {
  return guarded(info.Env(), [&] {
    State& state = State::of(info.Env());
    bool known;
    Block block = hold(state, info, 0, &known);
    if (known) {
      Tracked& tracked = state.tracked[block.offset];
      if (napi_value buffer = live(state, tracked.buffer)) return Napi::Value(info.Env(), buffer);
    }
    before_allocating(state, block.bytes);
    return make_buffer(state, block);
  });
}

void drop(const Napi::CallbackInfo& info) {
  guarded(info.Env(), [&] {
    State& state = State::of(info.Env());
    auto it = state.tracked.find(offset_of(info[1]));
    if (it == state.tracked.end()) return;
    Tracked& tracked = it->second;
    for (size_t i = 0; i < tracked.owners.size(); i++) {
      napi_value owner = live(state, tracked.owners[i]);
      bool same = false;
      if (owner == nullptr || napi_strict_equals(info.Env(), owner, info[0], &same) != napi_ok || !same)
        continue;
      if (tracked.owners[i] == tracked.buffer) {
        napi_detach_arraybuffer(info.Env(), owner);  // a later access sees length 0
        tracked.buffer = nullptr;
      }
      napi_delete_reference(info.Env(), tracked.owners[i]);
      tracked.owners.erase(tracked.owners.begin() + static_cast<std::ptrdiff_t>(i));
      state.owners--;
      break;
    }
    if (tracked.owners.empty()) end(state, it);
  });
}

Napi::Value handle(const Napi::CallbackInfo& info) {
  return guarded(info.Env(), [&] {
    Actor actor = State::of(info.Env()).actor();
    Block block = heap_find(actor, offset_of(info[0]));
    Napi::Object result = Napi::Object::New(info.Env());
    result["offset"] = Napi::Number::New(info.Env(), static_cast<double>(block.offset));
    result["generation"] = Napi::Number::New(info.Env(), block.generation);
    return result;
  });
}

Napi::Value sweep_now(const Napi::CallbackInfo& info) {
  return guarded(info.Env(), [&] {
    State& state = State::of(info.Env());
    return Napi::Number::New(info.Env(), state.place ? static_cast<double>(sweep(state)) : 0);
  });
}

Napi::Value memory_stats(const Napi::CallbackInfo& info) {
  return guarded(info.Env(), [&] {
    Actor actor = State::of(info.Env()).actor();
    Root& root = actor.root;
    HeapStats heap = heap_stats(actor);
    uint32_t slots = 0;
    for (uint32_t i = 0; i < std::min(root.header().slot_high.load(), kSlots); i++)
      slots += root.slot(i).state.load() != 0 ? 1 : 0;
    Napi::Object stats = Napi::Object::New(info.Env());
    stats["blocks"] = Napi::Number::New(info.Env(), heap.blocks);
    stats["bytes"] = Napi::Number::New(info.Env(), static_cast<double>(heap.bytes));
    stats["holds"] = Napi::Number::New(info.Env(), heap.holds);
    stats["slots"] = Napi::Number::New(info.Env(), slots);
    return stats;
  });
}

}  // namespace

char* State::window(uint64_t index) {
  char*& address = windows[index];
  if (address == nullptr) {
    if (index >= environment().root().bytes() / kWindowBytes)
      throw Refusal{"ERR_MP_CORRUPT", "a window lies outside the shared memory"};
    void* p;
    // A mapping of its own: two isolates must not be given the same address.
    check_system(platform::memory_map(environment().root().memory(), index * kWindowBytes, kWindowBytes, &p),
                 "mmap");
    address = static_cast<char*>(p);
  }
  return address;
}

void track(State& state, Offset offset, napi_value owner) {
  napi_ref ref;
  if (napi_create_reference(state.env(), owner, 0, &ref) != napi_ok)
    throw SystemError{ENOMEM, "napi_create_reference"};
  state.tracked[offset].owners.push_back(ref);
  state.owners++;
}

void before_allocating(State& state, uint64_t bytes) {
  state.bytes += bytes;
  if (state.owners < state.sweep_at && state.bytes < state.sweep_bytes) return;
  sweep(state);
}

size_t sweep(State& state) {
  size_t ended = 0;
  for (auto it = state.tracked.begin(); it != state.tracked.end();) {
    Napi::HandleScope scope(state.env());
    auto next = std::next(it);
    Tracked& tracked = it->second;
    auto gone = std::remove_if(tracked.owners.begin(), tracked.owners.end(), [&](napi_ref ref) {
      if (live(state, ref) != nullptr) return false;
      if (ref == tracked.buffer) tracked.buffer = nullptr;
      napi_delete_reference(state.env(), ref);
      return true;
    });
    state.owners -= static_cast<size_t>(tracked.owners.end() - gone);
    tracked.owners.erase(gone, tracked.owners.end());
    if (tracked.owners.empty()) {
      end(state, it);
      ended++;
    }
    it = next;
  }
  state.sweep_at = std::max<size_t>(4096, state.owners * 2);
  state.bytes = 0;
  return ended;
}

/// The environment ends: its windows stay mapped, since scripts may run until the very end.
void end_all(State& state) {
  for (auto& [offset, tracked] : state.tracked)
    for (napi_ref ref : tracked.owners) napi_delete_reference(state.env(), ref);
  state.tracked.clear();
}

void init_memory(Napi::Env env, Napi::Object exports) {
  define(exports, "window", window);
  define(exports, "allocate", allocate);
  define(exports, "allocateBuffer", allocate_buffer);
  define(exports, "adopt", adopt);
  define(exports, "adoptBuffer", adopt_buffer);
  define(exports, "drop", drop);
  define(exports, "handle", handle);
  define(exports, "sweep", sweep_now);
  define(exports, "memoryStats", memory_stats);
  exports["windowBytes"] = Napi::Number::New(env, kWindowBytes);
}

}  // namespace multiproc
