// Channels for JavaScript. What is called for each message is plain Node-API with numbers only: the messages
// themselves pass through two areas of memory that the environment hands over once, and what else there is to
// tell through a third.
#include "core/channel.h"

#include <algorithm>
#include <cstring>

#include "binding/pieces.h"
#include "binding/plain.h"
#include "binding/state.h"

namespace multiproc {

namespace {

napi_value code(napi_env env, Outcome outcome) {
  napi_value result;
  napi_create_int32(env, static_cast<int>(outcome), &result);
  return result;
}

OpenChannel& channel_of(State& state, uint32_t id) {
  if (id >= state.channels.open.size() || state.channels.open[id].offset == 0)
    throw Refusal{"ERR_MP_CORRUPT", "no such channel is open"};
  return state.channels.open[id];
}

/// Tries, and waits in between for as long as there is nothing to be done.
template <class Try>
Outcome persist(Actor& actor, OpenChannel& channel, Waits what, int64_t timeout, Try attempt) {
  uint32_t& seen = channel.seen[static_cast<int>(what)];
  Outcome outcome = attempt(&seen);
  if (outcome != Outcome::kWait || timeout == 0) return outcome;
  const uint64_t start = platform::now_ns();
  for (int64_t left = timeout;;) {
    outcome = channel_wait(actor, channel.offset, what, seen, left);
    if (outcome == Outcome::kInterrupted) return outcome;
    const bool over = outcome == Outcome::kTimedOut;
    outcome = attempt(&seen);
    if (outcome != Outcome::kWait) return outcome;
    if (over) return Outcome::kTimedOut;
    if (timeout >= 0) left = std::max<int64_t>(0, timeout - static_cast<int64_t>(platform::now_ns() - start));
  }
}

/// (channel, bytes of records in the out area, time-out) → code; info[0]: how many of the bytes were put.
napi_value put(napi_env env, napi_callback_info info) {
  return plain(env, [&] {
    Arguments<3> a(env, info);
    State& state = State::of(env);
    OpenChannel& channel = channel_of(state, a.integer(0));
    const size_t bytes = a.integer(1);
    if (bytes > state.channels.out_bytes) throw Refusal{"ERR_MP_CORRUPT", "more than the area holds"};
    Actor actor = state.actor();
    size_t done = 0;
    Outcome outcome = persist(actor, channel, Waits::kRoom, a.timeout(2), [&](uint32_t* seen) {
      return channel_put(actor, channel.offset, state.channels.out, bytes, &done, seen);
    });
    state.channels.info[0] = static_cast<double>(done);
    return code(env, outcome);
  });
}

/// (channel, most, time-out) → code; the records are in the area; info: their bytes, message, its bytes, what
/// it is. With records other readers wait until commit().
napi_value take(napi_env env, napi_callback_info info) {
  return plain(env, [&] {
    Arguments<3> a(env, info);
    State& state = State::of(env);
    OpenChannel& channel = channel_of(state, a.integer(0));
    Actor actor = state.actor();
    Taken taken{};
    const uint32_t most = a.integer(1);
    Outcome outcome = persist(actor, channel, Waits::kMessage, a.timeout(2), [&](uint32_t* seen) {
      return channel_take(actor, channel.offset, state.channels.in, state.channels.in_bytes, most, &taken,
                          seen);
    });
    double* tell = state.channels.info;
    tell[0] = static_cast<double>(taken.bytes);
    tell[1] = static_cast<double>(taken.message);
    tell[2] = taken.message == 0 ? taken.records : static_cast<double>(taken.message_bytes);
    tell[3] = taken.what;
    return code(env, outcome);
  });
}

/// (channel, how many of the records are taken)
napi_value commit(napi_env env, napi_callback_info info) {
  return plain(env, [&]() -> napi_value {
    Arguments<2> a(env, info);
    State& state = State::of(env);
    Actor actor = state.actor();
    channel_commit(actor, channel_of(state, a.integer(0)).offset, a.integer(1));
    return nullptr;
  });
}

/// (channel, message, time-out) → code
napi_value put_message(napi_env env, napi_callback_info info) {
  return plain(env, [&] {
    Arguments<3> a(env, info);
    State& state = State::of(env);
    OpenChannel& channel = channel_of(state, a.integer(0));
    Actor actor = state.actor();
    const Offset message = a.offset(1);
    return code(env, persist(actor, channel, Waits::kRoom, a.timeout(2), [&](uint32_t* seen) {
                  return channel_put_message(actor, channel.offset, message, seen);
                }));
  });
}

/// (channel, which: 0 a message, 1 room, 2 all done, time-out) → code: 0: perhaps
napi_value wait(napi_env env, napi_callback_info info) {
  return plain(env, [&] {
    Arguments<3> a(env, info);
    State& state = State::of(env);
    OpenChannel& channel = channel_of(state, a.integer(0));
    const uint32_t what = a.integer(1);
    if (what > 2) throw Refusal{"ERR_MP_CORRUPT", "nothing to wait for"};
    Actor actor = state.actor();
    const Waits waits = static_cast<Waits>(what);
    const Outcome outcome = channel_wait(actor, channel.offset, waits, channel.seen[what], a.timeout(2));
    // Who only looks takes nothing of what it was woken for.
    if (outcome == Outcome::kDone) side_pass_on(actor, channel.offset, waits);
    return code(env, outcome);
  });
}

/// (channel) → flags; info: messages, bytes, unfinished tasks. What was seen is what a wait waits for a
/// change of.
napi_value look(napi_env env, napi_callback_info info) {
  return plain(env, [&] {
    Arguments<1> a(env, info);
    State& state = State::of(env);
    OpenChannel& channel = channel_of(state, a.integer(0));
    Root& root = state.environment().root();
    for (Waits what : {Waits::kMessage, Waits::kRoom, Waits::kDone})
      channel.seen[static_cast<int>(what)] = root.ref<Side>(side_of(channel.offset, what)).signal.load();
    const uint32_t ended = channel_ended(root, channel.offset);
    const Counts counts = channel_counts(root, channel.offset);
    state.channels.info[0] = counts.messages;
    state.channels.info[1] = static_cast<double>(counts.bytes);
    state.channels.info[2] = counts.unfinished;
    napi_value result;
    napi_create_uint32(env, ended, &result);
    return result;
  });
}

void areas(const Napi::CallbackInfo& info) {
  guarded(info.Env(), [&] {
    ChannelAreas& areas = State::of(info.Env()).channels;
    if (areas.out != nullptr) throw Refusal{"ERR_MP_STATE", "the areas are there already"};
    Napi::Uint8Array out = info[0].As<Napi::Uint8Array>(), in = info[1].As<Napi::Uint8Array>();
    Napi::Float64Array tell = info[2].As<Napi::Float64Array>();
    if (in.ByteLength() < record_bytes(kMaxInline) || tell.ElementLength() < 4)
      throw Refusal{"ERR_MP_CORRUPT", "an area is too small"};
    areas.out = reinterpret_cast<char*>(out.Data());
    areas.out_bytes = out.ByteLength();
    areas.in = reinterpret_cast<char*>(in.Data());
    areas.in_bytes = in.ByteLength();
    areas.info = tell.Data();
    for (size_t i = 0; i < 3; i++) {  // for as long as the environment lives
      napi_ref kept;
      napi_create_reference(info.Env(), info[i], 1, &kept);
    }
  });
}

Napi::Value create(const Napi::CallbackInfo& info) {
  return guarded(info.Env(), [&] {
    State& state = State::of(info.Env());
    before_allocating(state, kMinChunk);
    Actor actor = state.actor();
    const double messages = info[1].As<Napi::Number>(), bytes = info[2].As<Napi::Number>();
    Block block = channel_create(actor, {static_cast<uint32_t>(messages), static_cast<uint64_t>(bytes)});
    track(state, block.offset, info[0]);
    return Napi::Number::New(info.Env(), static_cast<double>(block.offset));
  });
}

Napi::Value create_pipe(const Napi::CallbackInfo& info) {
  return guarded(info.Env(), [&] {
    State& state = State::of(info.Env());
    before_allocating(state, 2 * kMinChunk);
    Actor actor = state.actor();
    Pipe pipe = pipe_create(actor, info[2].As<Napi::Boolean>(),
                            static_cast<uint64_t>(info[3].As<Napi::Number>().DoubleValue()));
    track(state, pipe.first.offset, info[0]);
    track(state, pipe.second.offset, info[1]);
    Napi::Array ends = Napi::Array::New(info.Env(), 2);
    ends[0u] = Napi::Number::New(info.Env(), static_cast<double>(pipe.first.offset));
    ends[1u] = Napi::Number::New(info.Env(), static_cast<double>(pipe.second.offset));
    return ends;
  });
}

Napi::Value channels_of_end(const Napi::CallbackInfo& info) {
  return guarded(info.Env(), [&] {
    Actor actor = State::of(info.Env()).actor();
    const Block block = heap_find(actor, offset_of(info[0]));
    if (block.kind != Kind::kEnd) throw Refusal{"ERR_MP_CORRUPT", "not the end of a pipe"};
    const End& end = actor.root.ref<End>(block.offset);
    Napi::Array channels = Napi::Array::New(info.Env(), 2);
    channels[0u] = Napi::Number::New(info.Env(), static_cast<double>(end.reads));
    channels[1u] = Napi::Number::New(info.Env(), static_cast<double>(end.writes));
    return channels;
  });
}

Napi::Value open(const Napi::CallbackInfo& info) {
  return guarded(info.Env(), [&] {
    State& state = State::of(info.Env());
    Actor actor = state.actor();
    const Block block = heap_find(actor, offset_of(info[0]));
    if (block.kind != Kind::kChannel) throw Refusal{"ERR_MP_CORRUPT", "no channel"};
    auto& open = state.channels.open;
    size_t id = 0;
    while (id < open.size() && open[id].offset != 0) id++;
    if (id == open.size()) open.emplace_back();
    open[id] = {block.offset, {0, 0, 0}};
    return Napi::Number::New(info.Env(), static_cast<double>(id));
  });
}

void forget(const Napi::CallbackInfo& info) {
  guarded(info.Env(), [&] {
    State& state = State::of(info.Env());
    channel_of(state, info[0].As<Napi::Number>()) = {};
  });
}

Napi::Value await(const Napi::CallbackInfo& info) {
  return guarded(info.Env(), [&] {
    State& state = State::of(info.Env());
    OpenChannel& channel = channel_of(state, info[0].As<Napi::Number>());
    const uint32_t what = info[1].As<Napi::Number>();
    if (what > 2) throw Refusal{"ERR_MP_CORRUPT", "nothing to wait for"};
    const uint32_t seen = channel.seen[what];
    const bool unchanged =
        state.environment().await_side(side_of(channel.offset, static_cast<Waits>(what)), seen);
    return Napi::Number::New(info.Env(), unchanged ? static_cast<double>(seen) : -1);
  });
}

void unawait(const Napi::CallbackInfo& info) {
  guarded(info.Env(), [&] {
    State& state = State::of(info.Env());
    OpenChannel& channel = channel_of(state, info[0].As<Napi::Number>());
    const Waits what = static_cast<Waits>(info[1].As<Napi::Number>().Uint32Value());
    state.environment().unawait_side(side_of(channel.offset, what));
    Actor actor = state.actor();
    side_pass_on(actor, channel.offset, what);
  });
}

void shut_down(const Napi::CallbackInfo& info) {
  guarded(info.Env(), [&] {
    State& state = State::of(info.Env());
    Actor actor = state.actor();
    channel_shut_down(actor, channel_of(state, info[0].As<Napi::Number>()).offset,
                      info[1].As<Napi::Boolean>());
  });
}

Napi::Value task_done(const Napi::CallbackInfo& info) {
  return guarded(info.Env(), [&] {
    State& state = State::of(info.Env());
    Actor actor = state.actor();
    return Napi::Boolean::New(info.Env(),
                              channel_task_done(actor, channel_of(state, info[0].As<Napi::Number>()).offset));
  });
}

// ---- messages of their own
// ---------------------------------------------------------------------------------------------

/// (bytes, what, offsets of blocks that it holds) → message
Napi::Value create_message(const Napi::CallbackInfo& info) {
  return guarded(info.Env(), [&] {
    State& state = State::of(info.Env());
    Actor actor = state.actor();
    Napi::Uint8Array bytes = info[0].As<Napi::Uint8Array>();
    Block block = message_create(actor, bytes.ByteLength(), info[1].As<Napi::Number>());
    try {
      heap_write(actor.root, block.offset + sizeof(Message), bytes.Data(), bytes.ByteLength());
      Napi::Array holds = info[2].As<Napi::Array>();
      for (uint32_t i = 0; i < holds.Length(); i++) heap_put_into(actor, block.offset, offset_of(holds[i]));
    } catch (...) {
      heap_drop(actor, state.environment().slot(), block.offset);
      throw;
    }
    return Napi::Number::New(info.Env(), static_cast<double>(block.offset));
  });
}

/// (message, bytes to fill)
void read_message(const Napi::CallbackInfo& info) {
  guarded(info.Env(), [&] {
    Actor actor = State::of(info.Env()).actor();
    const Block block = heap_find(actor, offset_of(info[0]));
    Napi::Uint8Array into = info[1].As<Napi::Uint8Array>();
    if (block.kind != Kind::kMessage || into.ByteLength() > block.bytes - sizeof(Message))
      throw Refusal{"ERR_MP_CORRUPT", "no message of that length"};
    char* data = reinterpret_cast<char*>(into.Data());
    each_piece(actor.root, block.offset + sizeof(Message), into.ByteLength(),
               [&](char* piece, uint64_t at, uint64_t n) { memcpy(data + at, piece, n); });
  });
}

/// (message): ours no longer; nobody gets it again.
void end_message(const Napi::CallbackInfo& info) {
  guarded(info.Env(), [&] {
    State& state = State::of(info.Env());
    Actor actor = state.actor();
    const Offset message = offset_of(info[0]);
    message_settle(actor, message);
    heap_drop(actor, state.environment().slot(), message);
  });
}

/// (bytes) → { offset, generation } of an array's block with a copy of them, held by nobody but this
/// environment.
Napi::Value create_segment(const Napi::CallbackInfo& info) {
  return guarded(info.Env(), [&] {
    State& state = State::of(info.Env());
    Actor actor = state.actor();
    Napi::Uint8Array bytes = info[0].As<Napi::Uint8Array>();
    before_allocating(state, bytes.ByteLength());
    Block block =
        heap_allocate(actor, state.environment().slot(), bytes.ByteLength(), Kind::kArray, Fill::kWritten);
    try {
      heap_write(actor.root, block.offset, bytes.Data(), bytes.ByteLength());
    } catch (...) {
      heap_drop(actor, state.environment().slot(), block.offset);
      throw;
    }
    Napi::Object result = Napi::Object::New(info.Env());
    result["offset"] = Napi::Number::New(info.Env(), static_cast<double>(block.offset));
    result["generation"] = Napi::Number::New(info.Env(), block.generation);
    return result;
  });
}

/// (offset): this environment does not need the segment any more; whoever else holds it does.
void drop_segment(const Napi::CallbackInfo& info) {
  guarded(info.Env(), [&] {
    State& state = State::of(info.Env());
    const Offset at = offset_of(info[0]);
    if (state.tracked.count(at) != 0) return;  // an ArrayBuffer of ours lies over it
    Actor actor = state.actor();
    heap_drop(actor, state.environment().slot(), at);
  });
}

void define(Napi::Env env, Napi::Object exports, const char* name, napi_callback callback) {
  napi_value function;
  napi_create_function(env, name, NAPI_AUTO_LENGTH, callback, nullptr, &function);
  exports.Set(name, function);
}

}  // namespace

void init_channel(Napi::Env env, Napi::Object exports) {
  define(env, exports, "channelPut", put);
  define(env, exports, "channelTake", take);
  define(env, exports, "channelCommit", commit);
  define(env, exports, "channelPutMessage", put_message);
  define(env, exports, "channelWait", wait);
  define(env, exports, "channelLook", look);
  define(exports, "channelAreas", areas);
  define(exports, "createChannel", create);
  define(exports, "createPipe", create_pipe);
  define(exports, "channelsOfEnd", channels_of_end);
  define(exports, "openChannel", open);
  define(exports, "forgetChannel", forget);
  define(exports, "channelAwait", await);
  define(exports, "channelUnawait", unawait);
  define(exports, "channelShutDown", shut_down);
  define(exports, "channelTaskDone", task_done);
  define(exports, "createMessage", create_message);
  define(exports, "readMessage", read_message);
  define(exports, "endMessage", end_message);
  define(exports, "createSegment", create_segment);
  define(exports, "dropSegment", drop_segment);
  Napi::Array signals = Napi::Array::New(env, 3);
  for (Waits what : {Waits::kMessage, Waits::kRoom, Waits::kDone})
    signals[static_cast<uint32_t>(what)] =
        Napi::Number::New(env, static_cast<double>(side_of(0, what) + offsetof(Side, signal)));
  exports["channelSignals"] = signals;
  exports["maxInline"] = Napi::Number::New(env, kMaxInline);
}

}  // namespace multiproc
