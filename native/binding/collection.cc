// Dictionaries and lists for JavaScript. Keys and values pass through two areas of memory that the
// environment hands over once, what else there is to tell through a third, as with channels.
#include "core/collection.h"

#include "binding/plain.h"
#include "core/channel.h"

namespace multiproc {

namespace {

// What reading gives, unless it is a length.
constexpr int32_t kAbsent = -1;
constexpr int32_t kMessage = -2;  ///< info[0]: its bytes, info[1]: where it is
// In info, of an entry of a dictionary.
constexpr size_t kTellSequence = 2, kTellPosition = 3, kTellKey = 4, kTells = 5;

CollectionAreas& areas_of(State& state) {
  if (state.collections.out == nullptr) throw Refusal{"ERR_MP_STATE", "there are no areas yet"};
  return state.collections;
}
Offset collection_of(State& state, uint32_t id) {
  if (id >= state.collections.open.size() || state.collections.open[id] == 0)
    throw Refusal{"ERR_MP_CORRUPT", "no such collection is open"};
  return state.collections.open[id];
}

/// One call on an open collection: its arguments are numbers, the first is the collection's.
template <size_t N, class F>
napi_value on_collection(napi_env env, napi_callback_info info, F body) {
  return plain(env, [&]() -> napi_value {
    Arguments<N> a(env, info);
    State& state = State::of(env);
    CollectionAreas& areas = areas_of(state);
    Actor actor = state.actor();
    Opened opened(actor, collection_of(state, a.integer(0)));
    const double result = body(opened, a, areas);
    napi_value value;
    napi_create_double(env, result, &value);
    return value;
  });
}

/// The key that lies at the start of the area, and the value behind it.
Bytes key_in(CollectionAreas& areas, uint32_t length) {
  if (length > areas.out_bytes) throw Refusal{"ERR_MP_CORRUPT", "more than the area holds"};
  return {areas.out, length};
}
template <size_t N>
Value value_in(CollectionAreas& areas, const Arguments<N>& a, size_t first, uint32_t key) {
  const uint32_t length = a.integer(first);
  if (length > areas.out_bytes - key) throw Refusal{"ERR_MP_CORRUPT", "more than the area holds"};
  return {areas.out + key, length, a.offset(first + 1)};
}

/// Tells what was found. A message stays ours until end_item().
double tell(CollectionAreas& areas, const Found& found) {
  if (!found.found) return kAbsent;
  if (found.message == 0) return found.length;
  areas.reading[found.message]++;
  areas.info[0] = static_cast<double>(found.message_bytes);
  areas.info[1] = static_cast<double>(found.message);
  return kMessage;
}

// ---- both
// ----------------------------------------------------------------------------------------------------------------

void areas(const Napi::CallbackInfo& info) {
  guarded(info.Env(), [&] {
    CollectionAreas& areas = State::of(info.Env()).collections;
    if (areas.out != nullptr) throw Refusal{"ERR_MP_STATE", "the areas are there already"};
    Napi::Uint8Array out = info[0].As<Napi::Uint8Array>(), in = info[1].As<Napi::Uint8Array>();
    Napi::Float64Array tells = info[2].As<Napi::Float64Array>();
    if (in.ByteLength() < 2 * kMaxInline || tells.ElementLength() < kTells)
      throw Refusal{"ERR_MP_CORRUPT", "an area is too small"};
    areas.out = reinterpret_cast<char*>(out.Data());
    areas.out_bytes = out.ByteLength();
    areas.in = reinterpret_cast<char*>(in.Data());
    areas.in_bytes = in.ByteLength();
    areas.info = tells.Data();
    for (size_t i = 0; i < 3; i++) {  // for as long as the environment lives
      napi_ref kept;
      napi_create_reference(info.Env(), info[i], 1, &kept);
    }
  });
}

/// (owner, offset of its lock, is it a dictionary?) → offset
Napi::Value create(const Napi::CallbackInfo& info) {
  return guarded(info.Env(), [&] {
    State& state = State::of(info.Env());
    before_allocating(state, kMinChunk);
    Actor actor = state.actor();
    Block block = collection_create(actor, offset_of(info[1]), info[2].As<Napi::Boolean>());
    track(state, block.offset, info[0]);
    return Napi::Number::New(info.Env(), static_cast<double>(block.offset));
  });
}

Napi::Value lock(const Napi::CallbackInfo& info) {
  return guarded(info.Env(), [&] {
    Actor actor = State::of(info.Env()).actor();
    const Block block = collection_lock(actor, offset_of(info[0]));
    Napi::Object result = Napi::Object::New(info.Env());
    result["offset"] = Napi::Number::New(info.Env(), static_cast<double>(block.offset));
    result["generation"] = Napi::Number::New(info.Env(), block.generation);
    return result;
  });
}

/// (offset) → the number for the calls below
Napi::Value open(const Napi::CallbackInfo& info) {
  return guarded(info.Env(), [&] {
    State& state = State::of(info.Env());
    Actor actor = state.actor();
    const Offset at = offset_of(info[0]);
    collection_lock(actor, at);
    std::vector<Offset>& open = state.collections.open;
    size_t id = 0;
    while (id < open.size() && open[id] != 0) id++;
    if (id == open.size()) open.push_back(0);
    open[id] = at;
    return Napi::Number::New(info.Env(), static_cast<double>(id));
  });
}

void forget(const Napi::CallbackInfo& info) {
  guarded(info.Env(), [&] {
    std::vector<Offset>& open = State::of(info.Env()).collections.open;
    const uint32_t id = info[0].As<Napi::Number>();
    if (id < open.size()) open[id] = 0;
  });
}

napi_value count(napi_env env, napi_callback_info info) {
  return on_collection<1>(env, info, [](Opened& o, auto&, auto&) -> double { return o.count(); });
}
napi_value clear(napi_env env, napi_callback_info info) {
  return on_collection<1>(env, info, [](Opened& o, auto&, auto&) -> double {
    o.clear();
    return 0;
  });
}

/// (message): it has been read.
napi_value end_item(napi_env env, napi_callback_info info) {
  return plain(env, [&]() -> napi_value {
    Arguments<1> a(env, info);
    State& state = State::of(env);
    auto it = state.collections.reading.find(a.offset(0));
    if (it == state.collections.reading.end()) return nullptr;
    const Offset message = it->first;
    if (--it->second != 0) return nullptr;
    state.collections.reading.erase(it);
    Actor actor = state.actor();
    heap_drop(actor, state.environment().slot(), message);
    return nullptr;
  });
}

// ---- dictionaries: the key is in the area, so many bytes
// ------------------------------------------------------------------------------

napi_value dict_has(napi_env env, napi_callback_info info) {
  return on_collection<2>(env, info, [](Opened& o, auto& a, auto& areas) -> double {
    return o.has(key_in(areas, a.integer(1)));
  });
}
napi_value dict_get(napi_env env, napi_callback_info info) {
  return on_collection<2>(env, info, [](Opened& o, auto& a, auto& areas) -> double {
    return tell(areas, o.get(key_in(areas, a.integer(1)), areas.in, areas.in_bytes));
  });
}
/// (collection, bytes of the key, bytes of the value behind it, or a message)
napi_value dict_set(napi_env env, napi_callback_info info) {
  return on_collection<4>(env, info, [](Opened& o, auto& a, auto& areas) -> double {
    const Bytes key = key_in(areas, a.integer(1));
    return o.set(key, value_in(areas, a, 2, key.length));
  });
}
napi_value dict_delete(napi_env env, napi_callback_info info) {
  return on_collection<2>(env, info, [](Opened& o, auto& a, auto& areas) -> double {
    return o.remove(key_in(areas, a.integer(1)));
  });
}
napi_value dict_end(napi_env env, napi_callback_info info) {
  return on_collection<1>(env, info,
                          [](Opened& o, auto&, auto&) -> double { return static_cast<double>(o.end()); });
}
/// (collection, sequence of the last entry, sequence of the end, position of the last, with its value?)
napi_value dict_next(napi_env env, napi_callback_info info) {
  return on_collection<5>(env, info, [](Opened& o, auto& a, auto& areas) -> double {
    const Opened::Step step =
        o.next(a.offset(1), a.offset(2), a.integer(3), areas.in, areas.in_bytes, a.integer(4) != 0);
    if (!step.found) return kAbsent;
    areas.info[kTellSequence] = static_cast<double>(step.sequence);
    areas.info[kTellPosition] = step.position;
    areas.info[kTellKey] = step.key_bytes;
    return a.integer(4) != 0 ? tell(areas, step.value) : 0;
  });
}

// ---- lists
// ---------------------------------------------------------------------------------------------------------------

napi_value list_get(napi_env env, napi_callback_info info) {
  return on_collection<2>(env, info, [](Opened& o, auto& a, auto& areas) -> double {
    return tell(areas, o.get(a.integer(1), areas.in, areas.in_bytes));
  });
}
napi_value list_set(napi_env env, napi_callback_info info) {
  return on_collection<4>(env, info, [](Opened& o, auto& a, auto& areas) -> double {
    return o.set(a.integer(1), value_in(areas, a, 2, 0));
  });
}
/// (list, bytes of the value, or a message) → how many items there are now
napi_value list_push(napi_env env, napi_callback_info info) {
  return on_collection<3>(env, info, [](Opened& o, auto& a, auto& areas) -> double {
    o.push(value_in(areas, a, 1, 0));
    return o.count();
  });
}
napi_value list_pop(napi_env env, napi_callback_info info) {
  return on_collection<2>(env, info, [](Opened& o, auto& a, auto& areas) -> double {
    return tell(areas, o.pop(a.integer(1) != 0, areas.in, areas.in_bytes));
  });
}

// A list made anew beside the one in force; the script has the lock from the first of these calls to the
// last.

napi_value stage(napi_env env, napi_callback_info info) {
  return on_collection<3>(env, info, [](Opened& o, auto& a, auto&) -> double {
    return static_cast<double>(o.stage(a.integer(1), a.offset(2)));
  });
}
napi_value stage_copy(napi_env env, napi_callback_info info) {
  return on_collection<4>(env, info, [](Opened& o, auto& a, auto&) -> double {
    Offset staged = a.offset(1);
    o.stage_copy(&staged, a.integer(2), a.integer(3));
    return static_cast<double>(staged);
  });
}
napi_value stage_push(napi_env env, napi_callback_info info) {
  return on_collection<4>(env, info, [](Opened& o, auto& a, auto& areas) -> double {
    Offset staged = a.offset(1);
    o.stage_push(&staged, value_in(areas, a, 2, 0));
    return static_cast<double>(staged);
  });
}
napi_value publish(napi_env env, napi_callback_info info) {
  return on_collection<2>(env, info, [](Opened& o, auto& a, auto&) -> double {
    o.publish(a.offset(1));
    return 0;
  });
}
napi_value drop_staged(napi_env env, napi_callback_info info) {
  return plain(env, [&]() -> napi_value {
    Arguments<1> a(env, info);
    State& state = State::of(env);
    Actor actor = state.actor();
    heap_drop(actor, state.environment().slot(), a.offset(0));
    return nullptr;
  });
}

}  // namespace

void init_collection(Napi::Env env, Napi::Object exports) {
  define(exports, "collectionAreas", areas);
  define(exports, "createCollection", create);
  define(exports, "collectionLock", lock);
  define(exports, "openCollection", open);
  define(exports, "forgetCollection", forget);
  const struct {
    const char* name;
    napi_callback function;
  } functions[] = {
      {"collectionCount", count},  {"collectionClear", clear}, {"endItem", end_item},
      {"dictHas", dict_has},       {"dictGet", dict_get},      {"dictSet", dict_set},
      {"dictDelete", dict_delete}, {"dictEnd", dict_end},      {"dictNext", dict_next},
      {"listGet", list_get},       {"listSet", list_set},      {"listPush", list_push},
      {"listPop", list_pop},       {"stageList", stage},       {"stageCopy", stage_copy},
      {"stagePush", stage_push},   {"publishList", publish},   {"dropStaged", drop_staged},
  };
  for (const auto& [name, function] : functions) {
    napi_value value;
    if (napi_create_function(env, name, NAPI_AUTO_LENGTH, function, nullptr, &value) == napi_ok)
      exports.Set(name, value);
  }
}

}  // namespace multiproc
