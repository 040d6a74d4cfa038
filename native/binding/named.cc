// Shared memory by name as JavaScript sees it: numbers of open segments. What is still open when the
// environment, or the process, ends in order is closed then, so that the last one out removes it.
#include "platform/named.h"

#include <algorithm>
#include <cstdlib>
#include <mutex>
#include <optional>

#include "binding/state.h"

namespace multiproc {

namespace {

/// Holds of this process that must end with it.
struct Hold {
  std::string name;
  platform::NamedMemory segment;
  std::optional<platform::NamedMemory> for_child{};  ///< during a fork
};
struct Holds {
  std::mutex mutex;
  uint32_t owner = platform::current_process();  ///< a forked child that has not rejoined must end nothing
  uint32_t next = 0;
  std::unordered_map<uint32_t, Hold> open;
};
/// Never destroyed: process.exit() ends threads that still run after it.
Holds& holds() {
  static Holds* all = [] {
    std::atexit(close_named);
    return new Holds;
  }();
  return *all;
}

uint32_t add_hold(const std::string& name, const platform::NamedMemory& segment) {
  std::lock_guard<std::mutex> guard(holds().mutex);
  const uint32_t id = ++holds().next;
  holds().open.emplace(id, Hold{name, segment});
  return id;
}

platform::NamedEnd end_hold(uint32_t id) {
  std::lock_guard<std::mutex> guard(holds().mutex);
  auto it = holds().open.find(id);
  if (it == holds().open.end()) return platform::NamedEnd::kStays;
  platform::NamedEnd end = platform::named_close(it->second.name.c_str(), it->second.segment);
  holds().open.erase(it);
  return end;
}

/// Closes the segment unless it has been taken over.
struct Opened {
  const std::string& name;
  platform::NamedMemory segment;
  bool taken = false;
  ~Opened() {
    if (!taken) platform::named_close(name.c_str(), segment);
  }
};

std::string identity_of(const platform::NamedMemory& segment) {
  return std::to_string(segment.identity[0]) + ":" + std::to_string(segment.identity[1]);
}

/// The environment ends. Its mappings stay until State is destroyed: scripts may run until the very end.
void end_named(void* state) {
  for (auto& [id, named] : static_cast<State*>(state)->named) end_hold(id);
}

/// Maps a segment and gives it to JavaScript.
Napi::Value give(State& state, Opened& opened) {
  Napi::Env env(state.env());
  if (!state.ends_named) {
    state.ends_named = true;
    napi_add_env_cleanup_hook(env, end_named, &state);
  }
  void* address;
  check_system(platform::memory_map(opened.segment.memory, 0, opened.segment.bytes, &address), "mmap");
  napi_value buffer;
  napi_status status =
      napi_create_external_arraybuffer(env, address, opened.segment.bytes, nullptr, nullptr, &buffer);
  napi_ref ref = nullptr;
  if (status == napi_ok) status = napi_create_reference(env, buffer, 0, &ref);
  if (status != napi_ok) {
    platform::memory_unmap(address, opened.segment.bytes);
    if (status == napi_no_external_buffers_allowed)
      throw Refusal{"ERR_MP_UNSUPPORTED",
                    "this runtime does not allow memory from outside its own heap (Electron 21 and later)"};
    throw SystemError{ENOMEM, "napi_create_external_arraybuffer"};
  }
  opened.taken = true;
  const uint32_t id = add_hold(opened.name, opened.segment);
  state.named[id] = Named{address, opened.segment.bytes, ref};
  Napi::Object result = Napi::Object::New(env);
  result["id"] = Napi::Number::New(env, id);
  result["buffer"] = Napi::Value(env, buffer);
  result["identity"] = Napi::String::New(env, identity_of(opened.segment));
  result["tracked"] = Napi::Boolean::New(env, opened.segment.tracked);
  return result;
}

Napi::Value named_create(const Napi::CallbackInfo& info) {
  return guarded(info.Env(), [&] {
    const std::string name = info[0].As<Napi::String>();
    platform::NamedMemory segment;
    check_system(
        platform::named_create(name.c_str(), offset_of(info[1]), info[2].As<Napi::Boolean>(), &segment),
        "shm_open");
    Opened opened{name, segment};
    return give(State::of(info.Env()), opened);
  });
}

Napi::Value named_open(const Napi::CallbackInfo& info) {
  return guarded(info.Env(), [&] {
    const std::string name = info[0].As<Napi::String>();
    platform::NamedMemory segment;
    check_system(platform::named_open(name.c_str(), info[1].As<Napi::Boolean>(), &segment), "shm_open");
    Opened opened{name, segment};
    if (!info[1].As<Napi::Boolean>()) opened.segment.tracked = false;  // no hold, so it is not ours to remove
    return give(State::of(info.Env()), opened);
  });
}

Napi::Value named_close(const Napi::CallbackInfo& info) {
  return guarded(info.Env(), [&] {
    State& state = State::of(info.Env());
    const uint32_t id = info[0].As<Napi::Number>();
    auto it = state.named.find(id);
    if (it == state.named.end()) return Napi::Number::New(info.Env(), 0);
    napi_value buffer = nullptr;
    // Detached first: a later access sees length 0.
    if (napi_get_reference_value(info.Env(), it->second.buffer, &buffer) == napi_ok && buffer != nullptr)
      napi_detach_arraybuffer(info.Env(), buffer);
    napi_delete_reference(info.Env(), it->second.buffer);
    platform::memory_unmap(it->second.address, it->second.bytes);
    state.named.erase(it);
    return Napi::Number::New(info.Env(), static_cast<int>(end_hold(id)));
  });
}

void named_unlink(const Napi::CallbackInfo& info) {
  guarded(info.Env(), [&] {
    const std::string name = info[0].As<Napi::String>(), identity = info[1].As<Napi::String>();
    uint64_t parts[2] = {0, 0};
    char* end;
    parts[0] = strtoull(identity.c_str(), &end, 10);
    if (*end == ':') parts[1] = strtoull(end + 1, nullptr, 10);
    check_system(platform::named_unlink(name.c_str(), parts), "shm_unlink");
  });
}

/// A descriptor that holds the segment while it is on its way to somebody.
Napi::Value named_hold(const Napi::CallbackInfo& info) {
  return guarded(info.Env(), [&]() -> Napi::Value {
    const std::string name = info[0].As<Napi::String>();
    platform::NamedMemory segment;
    check_system(platform::named_open(name.c_str(), true, &segment), "shm_open");
    Opened opened{name, segment};
    if (identity_of(segment) != info[1].As<Napi::String>().Utf8Value()) throw SystemError{ENOENT, "shm_open"};
    opened.taken = true;
    if (segment.memory != segment.hold) platform::memory_close(segment.memory);
    return Napi::Number::New(info.Env(), static_cast<double>(segment.hold));
  });
}

void named_release(const Napi::CallbackInfo& info) {
  platform::named_release(info[0].As<Napi::Number>().Int32Value());
}

Napi::Value named_sweep(const Napi::CallbackInfo& info) {
  return guarded(info.Env(),
                 [&] { return Napi::Number::New(info.Env(), static_cast<double>(platform::named_sweep())); });
}

void close_descriptors(const platform::NamedMemory& segment) {
  if (segment.hold != segment.memory) platform::memory_close(segment.hold);
  platform::memory_close(segment.memory);
}

}  // namespace

void close_named() {
  Holds& left = holds();
  std::lock_guard<std::mutex> guard(left.mutex);
  if (left.owner != platform::current_process()) return;
  for (auto& [id, hold] : left.open) platform::named_close(hold.name.c_str(), hold.segment);
  left.open.clear();
}

void share_named() {
  for (auto& [id, hold] : holds().open) {
    if (!hold.segment.tracked) continue;
    platform::NamedMemory own;
    const int error = platform::named_open(hold.name.c_str(), true, &own);
    if (error == -ENOENT || error == -EINVAL) continue;  // it has been removed: only the mapping is left
    if (error != 0) unshare_named();
    check_system(error, "shm_open");
    if (std::equal(own.identity, own.identity + 2, hold.segment.identity))
      hold.for_child = own;
    else
      close_descriptors(own);
  }
}

void unshare_named() {
  for (auto& [id, hold] : holds().open) {
    if (hold.for_child) close_descriptors(*hold.for_child);
    hold.for_child.reset();
  }
}

void rejoin_named() {
  Holds& inherited = holds();
  for (auto it = inherited.open.begin(); it != inherited.open.end();) {
    auto& hold = it->second;
    if (!hold.segment.tracked) {
      ++it;
      continue;
    }
    close_descriptors(hold.segment);
    if (hold.for_child) {
      hold.segment = *hold.for_child;
      hold.for_child.reset();
      ++it;
    } else {
      it = inherited.open.erase(it);
    }
  }
  inherited.owner = platform::current_process();
}

void init_named(Napi::Env env, Napi::Object exports) {
  define(exports, "namedCreate", named_create);
  define(exports, "namedOpen", named_open);
  define(exports, "namedClose", named_close);
  define(exports, "namedUnlink", named_unlink);
  define(exports, "namedHold", named_hold);
  define(exports, "namedRelease", named_release);
  define(exports, "namedSweep", named_sweep);
}

}  // namespace multiproc
