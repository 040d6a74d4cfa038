// This thread as an owner in the root: joining it, leaving it, and the slots of children to come.
#include <algorithm>
#include <cstring>
#include <mutex>
#include <random>

#include "binding/pieces.h"
#include "binding/state.h"

namespace multiproc {

namespace {

/// The process's host: made with its first environment, gone with its last.
std::mutex host_mutex;
Host* host = nullptr;
size_t host_users = 0;

void leave(State& state) {
  if (!state.place) return;
  end_all(state);
  // A Worker may be terminated without another word: its template is to end, too.
  for (int descriptor : state.owned) platform::bell_close(descriptor, -1);
  for (platform::ProcessHandle handle : state.handles) platform::process_close(handle);
  std::lock_guard<std::mutex> guard(host_mutex);
  state.place.reset();
  if (--host_users == 0) {
    delete host;
    host = nullptr;
  }
}

/// The event loop must let go of what it polls before the environment ends, so the hook is asynchronous.
void on_cleanup(napi_async_cleanup_hook_handle handle, void* data) {
  State* state = static_cast<State*>(data);
  state->ending = true;
  size_t* open = new size_t(state->pollers.size());
  auto closed = [state, handle, open] {
    if (*open > 0 && --*open > 0) return;
    delete open;
    state->pollers.clear();
    leave(*state);
    napi_remove_async_cleanup_hook(handle);
  };
  if (*open == 0)
    closed();
  else
    for (auto& poller : state->pollers) poller->close(closed);
}

Napi::Object place_of(Napi::Env env, State& state) {
  Napi::Object place = Napi::Object::New(env);
  place["me"] = Napi::Number::New(env, state.environment().me());
  place["slot"] = Napi::Number::New(env, state.environment().slot());
  place["rootId"] = Napi::String::New(env, state.environment().root().id());
  return place;
}

void entered(State& state) {
  host_users++;
  state.clean_up_at_end();
}

Napi::Value attach(const Napi::CallbackInfo& info) {
  State& state = State::of(info.Env());
  if (!state.place)
    guarded(info.Env(), [&] {
      std::lock_guard<std::mutex> guard(host_mutex);
      if (host == nullptr) host = new Host(Root::create());
      state.place = host->enter(info[0].As<Napi::Number>());
      entered(state);
    });
  return place_of(info.Env(), state);
}

void inherit(const Napi::CallbackInfo& info) {
  State& state = State::of(info.Env());
  guarded(info.Env(), [&] {
    std::lock_guard<std::mutex> guard(host_mutex);
    if (host != nullptr) throw Refusal{"ERR_MP_STATE", "this process has shared memory of its own already"};
    platform::MemoryHandle memory;
    check_system(platform::memory_adopt(info[0].As<Napi::Number>().Int32Value(),
                                        info[6].As<Napi::Number>().Uint32Value(), &memory),
                 "fcntl");
    uint32_t slot = info[2].As<Napi::Number>(), generation = info[3].As<Napi::Number>();
    std::unique_ptr<Root> root = Root::attach(memory, info[1].As<Napi::String>());
    state.parent = root->slot(slot).process.load();
    host = new Host(std::move(root));
    try {
      state.place = host->enter_reserved(0, slot, generation);
    } catch (...) {
      delete host;
      host = nullptr;
      throw;
    }
    entered(state);
    host->follow(state.parent, *state.place, info[4].As<Napi::Boolean>(), info[5].As<Napi::Number>());
  });
}

void set_name(const Napi::CallbackInfo& info) {
  guarded(info.Env(), [&] {
    Environment& environment = State::of(info.Env()).environment();
    std::string name = info[0].As<Napi::String>();
    Slot& slot = environment.root().slot(environment.slot());
    strncpy(slot.name, name.c_str(), sizeof slot.name - 1);
    slot.started_by = info[1].As<Napi::Number>().Uint32Value();
    slot.start_method = info[2].As<Napi::Number>().Uint32Value();
  });
}

void rejoin_as_child(const Napi::CallbackInfo& info) {
  guarded(info.Env(), [&] {
    rejoin(State::of(info.Env()), info[0].As<Napi::Number>(), info[1].As<Napi::Number>(),
           info[2].As<Napi::Boolean>(), info[3].As<Napi::Number>());
  });
}

void follow_parent(const Napi::CallbackInfo& info) {
  guarded(info.Env(), [&] {
    State& state = State::of(info.Env());
    state.environment();
    host->follow(state.parent, *state.place, info[0].As<Napi::Boolean>(), info[1].As<Napi::Number>());
  });
}

Napi::Value parent_dead(const Napi::CallbackInfo& info) {
  return guarded(info.Env(), [&] {
    return Napi::Boolean::New(info.Env(), State::of(info.Env()).environment().host().parent_dead());
  });
}

Napi::Value parent_ended(const Napi::CallbackInfo& info) {
  State& state = State::of(info.Env());
  return Napi::Boolean::New(info.Env(), state.place && state.place->host().parent_ended());
}

Napi::Value root_fd(const Napi::CallbackInfo& info) {
  return guarded(info.Env(), [&] {
    return Napi::Number::New(info.Env(),
                             static_cast<double>(State::of(info.Env()).environment().root().memory()));
  });
}

Owner child_of(const Napi::CallbackInfo& info) {
  uint32_t slot = info[0].As<Napi::Number>(), generation = info[1].As<Napi::Number>();
  if (slot >= kSlots || generation == 0 || generation >= kGenerations)
    throw Refusal{"ERR_MP_CORRUPT", "not the slot of a child"};
  return owner_id(slot, generation);
}

Napi::Value reserve_slot(const Napi::CallbackInfo& info) {
  return guarded(info.Env(), [&] {
    Owner child = State::of(info.Env()).environment().host().reserve_child();
    Napi::Object result = Napi::Object::New(info.Env());
    result["slot"] = Napi::Number::New(info.Env(), slot_of(child));
    result["generation"] = Napi::Number::New(info.Env(), generation_of(child));
    return result;
  });
}

void release_slot(const Napi::CallbackInfo& info) {
  guarded(info.Env(), [&] { State::of(info.Env()).environment().host().release_child(child_of(info)); });
}

void let_go(const Napi::CallbackInfo& info) {
  guarded(info.Env(),
          [&] { State::of(info.Env()).environment().host().let_go(child_of(info), timeout_ns(info[2])); });
}

void hold_for(const Napi::CallbackInfo& info) {
  guarded(info.Env(), [&] {
    Actor actor = State::of(info.Env()).actor();
    heap_hold_for(actor, child_of(info), offset_of(info[2]));
  });
}

void deliver(const Napi::CallbackInfo& info) {
  guarded(info.Env(), [&] {
    State& state = State::of(info.Env());
    Actor actor = state.actor();
    Owner child = child_of(info);
    Napi::Uint8Array bytes = info[2].As<Napi::Uint8Array>();
    // Ours until it is written: the child may be killed meanwhile, and what is its own is given to others.
    const uint32_t mine = state.environment().slot();
    Block block = heap_allocate(actor, mine, bytes.ByteLength(), Kind::kParcel, Fill::kWritten);
    try {
      heap_write(actor.root, block.offset, bytes.Data(), bytes.ByteLength());
      heap_hold_for(actor, child, block.offset);
    } catch (...) {
      heap_drop(actor, mine, block.offset);
      throw;
    }
    heap_drop(actor, mine, block.offset);
    Slot& slot = actor.root.slot(slot_of(child));
    slot.delivery.store(block.offset);
    slot.delivered.store(1);
    platform::wake(&slot.delivered, platform::kWakeAll);
  });
}

Napi::Value take_delivery(const Napi::CallbackInfo& info) {
  return guarded(info.Env(), [&]() -> Napi::Value {
    State& state = State::of(info.Env());
    Environment& environment = state.environment();
    Slot& slot = environment.root().slot(environment.slot());
    while (slot.delivered.load() == 0) {
      platform::Watch watch{&slot.delivered, 0};
      if (!platform::wait(&watch, 1, 100 * 1000000) && owner_dead(environment.root(), state.parent) &&
          slot.delivered.load() == 0)
        return info.Env().Null();
    }
    Actor actor = state.actor();
    Block block = heap_find(actor, slot.delivery.load());
    if (block.kind != Kind::kParcel) throw Refusal{"ERR_MP_CORRUPT", "a delivery is no parcel"};
    Napi::Uint8Array bytes = Napi::Uint8Array::New(info.Env(), block.bytes);
    char* data = reinterpret_cast<char*>(bytes.Data());
    each_piece(actor.root, block.offset, block.bytes,
               [&](char* from, uint64_t at, uint64_t n) { memcpy(data + at, from, n); });
    heap_drop(actor, environment.slot(), block.offset);
    slot.delivered.store(2);
    platform::wake(&slot.delivered, platform::kWakeAll);
    return bytes;
  });
}

Napi::Value owner_info(const Napi::CallbackInfo& info) {
  return guarded(info.Env(), [&]() -> Napi::Value {
    Root& root = State::of(info.Env()).environment().root();
    Owner owner = info[0].As<Napi::Number>().Uint32Value();
    if (owner < kSlots || (owner & kFlags) != 0 || owner_dead(root, owner)) return info.Env().Null();
    Slot& slot = root.slot(slot_of(owner));
    Napi::Object result = Napi::Object::New(info.Env());
    result["pid"] = Napi::Number::New(info.Env(), slot.pid);
    result["threadId"] = Napi::Number::New(info.Env(), slot.node_thread);
    return result;
  });
}

void on_ring(const Napi::CallbackInfo& info) {
  State& state = State::of(info.Env());
  guarded(info.Env(), [&] {
    if (state.doorbell != nullptr) return;
    Environment* environment = &state.environment();
    state.pollers.emplace_back(new Poller(
        info.Env(), environment->bell(), [environment] { environment->answer_ring(); },
        info[0].As<Napi::Function>()));
    state.doorbell = state.pollers.back().get();
    state.doorbell->watch(Poller::kReadable);
  });
}

void ref_doorbell(const Napi::CallbackInfo& info) {
  State& state = State::of(info.Env());
  if (state.doorbell != nullptr) state.doorbell->keep_alive(info[0].As<Napi::Boolean>());
}

/// From the system: node:crypto takes 2 ms to load, and every program that starts a child needs a key.
Napi::Value random_bytes(const Napi::CallbackInfo& info) {
  std::random_device random;
  Napi::Uint8Array bytes = Napi::Uint8Array::New(info.Env(), info[0].As<Napi::Number>().Uint32Value());
  for (size_t i = 0; i < bytes.ByteLength(); i++) bytes[i] = static_cast<uint8_t>(random());
  return bytes;
}

void set_errors(const Napi::CallbackInfo& info) {
  State::of(info.Env()).make_error = Napi::Persistent(info[0].As<Napi::Function>());
}

}  // namespace

Host* current_host() { return host; }

void rejoin(State& state, uint32_t slot, uint32_t generation, bool daemon, uint32_t grace_ms) {
  const std::vector<std::shared_ptr<Poller>> pollers = state.pollers;
  for (const std::shared_ptr<Poller>& poller : pollers) state.close_poller(poller.get());
  state.doorbell = nullptr;
  state.watches.clear();
  state.forks++;
  for (platform::SocketHandle socket : state.sockets) platform::socket_close(socket);
  state.sockets.clear();
  for (int descriptor : state.owned) platform::bell_close(descriptor, -1);
  state.owned.clear();
  for (platform::ProcessHandle handle : state.handles) platform::process_close(handle);
  state.handles.clear();
  rejoin_named();
  // What stands for the parent is left as it is: its destructors would speak in the parent's name.
  state.place.release();
  std::unique_ptr<Root> root = host->abandon();
  state.parent = root->slot(slot).process.load();
  host = new Host(std::move(root));
  state.place = host->enter_reserved(0, slot, generation);
  host->follow(state.parent, *state.place, daemon, grace_ms);
}

State& State::of(napi_env env) { return *Napi::Env(env).GetInstanceData<State>(); }

State::~State() {
  make_error.SuppressDestruct();
  nothing.SuppressDestruct();
  for (auto& [index, address] : windows)
    if (address != nullptr) platform::memory_unmap(address, kWindowBytes);
  for (auto& [id, segment] : named) platform::memory_unmap(segment.address, segment.bytes);
}

void State::clean_up_at_end() {
  if (hooked_) return;
  hooked_ = true;
  napi_add_async_cleanup_hook(env_, on_cleanup, this, nullptr);
}

void State::close_poller(Poller* poller) {
  if (ending) return;  // on_cleanup does it
  poller->close([this, poller] {
    if (ending) return;
    auto found =
        std::find_if(pollers.begin(), pollers.end(), [&](auto& each) { return each.get() == poller; });
    if (found != pollers.end()) pollers.erase(found);
  });
}

Environment& State::environment() {
  if (!place) throw Refusal{"ERR_MP_STATE", "this thread has not attached to shared memory"};
  return *place;
}

Actor State::actor() {
  return environment().actor(
      [](void* data) {
        State* state = static_cast<State*>(data);
        Napi::HandleScope scope(state->env_);
        napi_value result;
        return napi_call_function(state->env_, Napi::Env(state->env_).Global(), state->nothing.Value(), 0,
                                  nullptr, &result) != napi_ok;
      },
      this);
}

int64_t timeout_ns(const Napi::Value& value) {
  double ms = value.As<Napi::Number>().DoubleValue();
  if (!(ms < 9e12)) return -1;  // for ever, or three centuries
  return ms <= 0 ? 0 : static_cast<int64_t>(ms * 1e6);
}

Offset offset_of(const Napi::Value& value) {
  double offset = value.As<Napi::Number>().DoubleValue();
  if (!(offset >= 0 && offset < 9007199254740992.0)) throw Refusal{"ERR_MP_CORRUPT", "not an offset"};
  return static_cast<Offset>(offset);
}

void init_environment(Napi::Env env, Napi::Object exports) {
  State::of(env).nothing = Napi::Persistent(Napi::Function::New(env, [](const Napi::CallbackInfo&) {}));
  define(exports, "randomBytes", random_bytes);
  define(exports, "setErrors", set_errors);
  define(exports, "attach", attach);
  define(exports, "inherit", inherit);
  define(exports, "rootFd", root_fd);
  define(exports, "reserveSlot", reserve_slot);
  define(exports, "setName", set_name);
  define(exports, "letGo", let_go);
  define(exports, "followParent", follow_parent);
  define(exports, "rejoin", rejoin_as_child);
  define(exports, "parentDead", parent_dead);
  define(exports, "parentEnded", parent_ended);
  define(exports, "releaseSlot", release_slot);
  define(exports, "holdFor", hold_for);
  define(exports, "deliver", deliver);
  define(exports, "takeDelivery", take_delivery);
  define(exports, "ownerInfo", owner_info);
  define(exports, "refDoorbell", ref_doorbell);
  define(exports, "onRing", on_ring);
}

}  // namespace multiproc
