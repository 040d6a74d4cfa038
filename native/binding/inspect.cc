// A look at the roots of other programs, for the command `npx multiproc`: this process takes no part in them.
#include "core/inspect.h"

#include "binding/state.h"

namespace multiproc {

namespace {

/// Fills a JavaScript object.
struct Made {
  Napi::Env env;
  Napi::Object object;
  explicit Made(Napi::Env e) : env(e), object(Napi::Object::New(e)) {}
  void number(const char* name, double value) { object[name] = Napi::Number::New(env, value); }
  void boolean(const char* name, bool value) { object[name] = Napi::Boolean::New(env, value); }
  void text(const char* name, const std::string& value) { object[name] = Napi::String::New(env, value); }
  template <class List>
  void numbers(const char* name, const List& list) {
    Napi::Array array = Napi::Array::New(env, std::size(list));
    uint32_t i = 0;
    for (auto value : list) array[i++] = Napi::Number::New(env, static_cast<double>(value));
    object[name] = array;
  }
};

Napi::Value slot(Napi::Env env, const SeenSlot& s) {
  Made o(env);
  o.number("index", s.index);
  o.number("owner", s.owner);
  o.number("process", s.process);
  o.number("state", static_cast<double>(s.state));
  o.number("pid", s.pid);
  o.number("startTime", static_cast<double>(s.start_time));
  o.boolean("dead", s.dead);
  o.number("threadId", s.node_thread);
  o.number("startedBy", s.started_by);
  o.number("startMethod", s.start_method);
  o.text("name", s.name);
  o.number("blocked", static_cast<double>(s.blocked));
  o.number("blockedIn", static_cast<double>(s.blocked_in));
  o.number("blockedNumber", s.blocked_number);
  o.numbers("awaits", s.awaits);
  o.number("moreAwaits", s.more_awaits);
  return o.object;
}

Napi::Value cell(Napi::Env env, const SeenCell& c) {
  Made o(env);
  o.number("offset", static_cast<double>(c.offset));
  o.number("owner", c.owner);
  o.number("want", c.want);
  o.number("held", c.held);
  o.boolean("asynchronous", c.asynchronous);
  return o.object;
}

Napi::Value channel(Napi::Env env, const SeenChannel& c) {
  Made o(env);
  o.number("type", c.type);
  o.number("messages", c.messages);
  o.number("bytes", static_cast<double>(c.bytes));
  o.number("put", c.put);
  o.number("taken", c.taken);
  o.number("unfinished", c.unfinished);
  o.number("maxMessages", c.max_messages);
  o.number("maxBytes", static_cast<double>(c.max_bytes));
  o.number("ended", c.ended);
  o.number("putSide", static_cast<double>(c.put_side));
  o.number("takenSide", static_cast<double>(c.taken_side));
  o.number("doneSide", static_cast<double>(c.done_side));
  return o.object;
}

Napi::Value block(Napi::Env env, const SeenBlock& b) {
  Made o(env);
  o.number("offset", static_cast<double>(b.offset));
  o.number("bytes", static_cast<double>(b.bytes));
  o.number("kind", static_cast<double>(b.kind));
  o.number("generation", b.generation);
  o.text("label", b.label);
  o.numbers("holders", b.holders);
  o.numbers("containers", b.containers);
  if (b.locked) {
    Made l(env);
    l.number("owner", b.lock.owner);
    l.boolean("waiters", b.lock.waiters || b.lock.async_waiters);
    l.boolean("abandoned", b.lock.abandoned);
    l.number("depth", b.lock.depth);
    o.object["lock"] = l.object;
  }
  if (b.kind == Kind::kSync) {
    Made s(env);
    s.number("type", b.type);
    s.numbers("state", b.state);
    Napi::Array cells = Napi::Array::New(env, b.cells.size());
    for (uint32_t i = 0; i < b.cells.size(); i++) cells[i] = cell(env, b.cells[i]);
    s.object["cells"] = cells;
    o.object["sync"] = s.object;
  }
  if (b.is_channel) o.object["channel"] = channel(env, b.channel);
  return o.object;
}

Napi::Value inspect(const Napi::CallbackInfo& info) {
  return guarded(info.Env(), [&]() -> Napi::Value {
    Napi::Env env = info.Env();
    const SeenRoot seen = inspect_root(info[0].As<Napi::Number>().Int32Value());
    Made o(env);
    o.text("id", seen.id);
    o.boolean("samePidNamespace", seen.same_pid_namespace);
    o.number("blocks", seen.blocks);
    o.number("bytes", static_cast<double>(seen.bytes));
    o.number("warmBytes", static_cast<double>(seen.warm_bytes));
    o.numbers("counts", seen.counts);
    o.numbers("sizes", seen.sizes);
    o.boolean("truncated", seen.truncated);
    Napi::Array slots = Napi::Array::New(env, seen.slots.size());
    for (uint32_t i = 0; i < seen.slots.size(); i++) slots[i] = slot(env, seen.slots[i]);
    o.object["slots"] = slots;
    Napi::Array found = Napi::Array::New(env, seen.found.size());
    for (uint32_t i = 0; i < seen.found.size(); i++) found[i] = block(env, seen.found[i]);
    o.object["found"] = found;
    return o.object;
  });
}

}  // namespace

void init_inspect(Napi::Env env, Napi::Object exports) { define(exports, "inspectRoot", inspect); }

}  // namespace multiproc
