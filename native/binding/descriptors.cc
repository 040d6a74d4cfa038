// Open files on their way to another process, as lib/descriptors sees them.
#include "platform/descriptors.h"

#include "binding/state.h"

namespace multiproc {

namespace {

Napi::Value send_descriptor(const Napi::CallbackInfo& info) {
  return guarded(info.Env(), [&] {
    Environment& environment = State::of(info.Env()).environment();
    Host& host = environment.host();
    Actor actor = environment.actor();
    Block block = host.descriptors().send(actor, environment.slot(), host.me(), host.parent(),
                                          info[0].As<Napi::Number>().Int32Value());
    Napi::Object result = Napi::Object::New(info.Env());
    result["offset"] = Napi::Number::New(info.Env(), static_cast<double>(block.offset));
    result["generation"] = Napi::Number::New(info.Env(), block.generation);
    return result;
  });
}

/// The block may be gone: this very environment has received it meanwhile. Its hold is the same one.
void sent_descriptor(const Napi::CallbackInfo& info) {
  guarded(info.Env(), [&] {
    State& state = State::of(info.Env());
    Environment& environment = state.environment();
    Actor actor = environment.actor();
    Offset offset = offset_of(info[0]);
    if (state.tracked.count(offset) != 0) return;
    try {
      if (heap_find(actor, offset).generation == info[1].As<Napi::Number>().Uint32Value())
        heap_drop(actor, environment.slot(), offset);
    } catch (const Refusal&) {
    }
  });
}

Napi::Value receive_descriptor(const Napi::CallbackInfo& info) {
  return guarded(info.Env(), [&] {
    State& state = State::of(info.Env());
    Environment& environment = state.environment();
    Actor actor = environment.actor();
    Offset offset = offset_of(info[0]);
    int descriptor = environment.host().descriptors().receive(
        actor, environment.slot(), offset, info[1].As<Napi::Number>(), state.tracked.count(offset) == 0);
    return Napi::Number::New(info.Env(), descriptor);
  });
}

void move_descriptor(const Napi::CallbackInfo& info) {
  guarded(info.Env(), [&] {
    check_system(platform::descriptor_move(info[0].As<Napi::Number>(), info[1].As<Napi::Number>()), "dup2");
  });
}

}  // namespace

void init_descriptors(Napi::Env env, Napi::Object exports) {
  define(exports, "sendDescriptor", send_descriptor);
  define(exports, "sentDescriptor", sent_descriptor);
  define(exports, "receiveDescriptor", receive_descriptor);
  define(exports, "moveDescriptor", move_descriptor);
}

}  // namespace multiproc
