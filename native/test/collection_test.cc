// Dictionaries and lists: random use against a model, several processes at once, death at every single step,
// and tables whose bytes are anything.
#include "core/collection.h"

#include <cstring>
#include <map>
#include <random>
#include <thread>
#include <vector>

#include "core/channel.h"
#include "test/check.h"

using namespace multiproc;

namespace {

using Model = std::map<std::string, std::string>;

struct Owned {
  Block block;
  Block lock;
};

Owned create(Member& member, bool keyed) {
  Actor actor = member.actor();
  Block lock = heap_allocate(actor, member.environment->slot(), kNamedLockBytes, Kind::kRLock);
  return {collection_create(actor, lock.offset, keyed), lock};
}
void drop(Member& member, const Owned& owned) {
  Actor actor = member.actor();
  CHECK(heap_drop(actor, member.environment->slot(), owned.block.offset));
  CHECK(heap_drop(actor, member.environment->slot(), owned.lock.offset));
}
/// In another process: the same one.
void adopt(Member& member, const Owned& owned) {
  Actor actor = member.actor();
  heap_hold(actor, member.environment->slot(), owned.block.offset, owned.block.generation);
  heap_hold(actor, member.environment->slot(), owned.lock.offset, owned.lock.generation);
}

Bytes bytes(const std::string& text) { return {text.data(), static_cast<uint32_t>(text.size())}; }

Value inline_value(const std::string& text) { return {text.data(), static_cast<uint32_t>(text.size()), 0}; }
/// The text in a block of its own.
Value message_value(Member& member, const std::string& text) {
  Actor actor = member.actor();
  Block block = message_create(actor, text.size(), 1);
  heap_write(actor.root, block.offset + sizeof(Message), text.data(), text.size());
  return {nullptr, 0, block.offset};
}
/// Values that begin with M are blocks of their own.
Value value_of(Member& member, const std::string& text) {
  return text[0] == 'M' ? message_value(member, text) : inline_value(text);
}

thread_local char area[64 << 10];

std::string text_of(Member& member, const Found& found, const char* at = area) {
  if (found.message == 0) return std::string(at, found.length);
  Actor actor = member.actor();
  std::string text(found.message_bytes, 0);
  memcpy(&text[0], actor.root.at(found.message + sizeof(Message), text.size()), text.size());
  heap_drop(actor, member.environment->slot(), found.message);
  return text;
}

/// All pairs, in their order.
std::vector<std::pair<std::string, std::string>> pairs(Member& member, Offset at) {
  std::vector<std::pair<std::string, std::string>> all;
  Actor actor = member.actor();
  Opened::Step step{true, 0, UINT32_MAX, 0, {}};
  Opened opened(actor, at);
  const uint64_t end = opened.end();
  for (;;) {
    step = opened.next(step.sequence, end, step.position, area, sizeof area, true);
    if (!step.found) return all;
    std::string key(area, step.key_bytes);
    all.emplace_back(key, text_of(member, step.value, area + step.key_bytes));
  }
}
Model contents(Member& member, Offset at) {
  Model model;
  for (auto& [key, value] : pairs(member, at)) CHECK(model.emplace(key, value).second);
  return model;
}
std::vector<std::string> items(Member& member, Offset at) {
  Actor actor = member.actor();
  Opened opened(actor, at);
  std::vector<std::string> all;
  for (uint32_t i = 0; i < opened.count(); i++)
    all.push_back(text_of(member, opened.get(i, area, sizeof area)));
  return all;
}

std::string random_text(std::mt19937& random) {
  const uint32_t kind = random() % 20;
  const size_t length = kind == 0 ? random() % 15000 : kind < 4 ? random() % 300 : random() % 20;
  std::string text(length + 1, static_cast<char>('a' + random() % 26));
  text[0] = random() % 8 == 0 ? 'M' : 'v';
  return text;
}

void a_dictionary_is_what_a_map_is() {
  Member member(Root::create());
  Actor actor = member.actor();
  Owned owned = create(member, true);
  std::mt19937 random(20261121);
  Model model;
  for (int step = 0; step < 30000; step++) {
    const int range = step < 15000 ? 3000 : 30;
    const std::string key = "key " + std::to_string(random() % range);
    Opened opened(actor, owned.block.offset);
    switch (random() % 8) {
      case 0:
      case 1:
        CHECK(opened.remove(bytes(key)) == (model.erase(key) == 1));
        break;
      case 2: {
        Found found = opened.get(bytes(key), area, sizeof area);
        CHECK(found.found == (model.count(key) == 1));
        if (found.found) CHECK(text_of(member, found) == model[key]);
        break;
      }
      default: {
        const std::string text = random_text(random);
        CHECK(opened.set(bytes(key), value_of(member, text)) == (model.count(key) == 0));
        model[key] = text;
      }
    }
    CHECK(opened.count() == model.size());
    if (random() % 5000 == 0) {
      opened.clear();
      model.clear();
    }
  }
  CHECK(contents(member, owned.block.offset) == model);
  CHECK(heap_check(actor) == "");
  {
    Opened opened(actor, owned.block.offset);
    for (auto& [key, value] : model) CHECK(opened.remove(bytes(key)));
  }
  CHECK(heap_stats(actor).blocks == 3);
  CHECK(heap_stats(actor).bytes < 200000);  // the memory is given back
  drop(member, owned);
  CHECK(heap_stats(actor).blocks == 0);
  CHECK(heap_check(actor) == "");
}

void many_keys_lie_in_tables_of_many_windows() {
  Member member(Root::create());
  Actor actor = member.actor();
  Owned owned = create(member, true);
  constexpr int kKeys = 200000;
  {
    Opened opened(actor, owned.block.offset);
    for (int i = 0; i < kKeys; i++) {
      const std::string key = "a key of some length " + std::to_string(i),
                        value = "value " + std::to_string(i);
      CHECK(opened.set(bytes(key), inline_value(value)));
    }
    for (int i = 0; i < kKeys; i++) {
      const std::string key = "a key of some length " + std::to_string(i);
      CHECK(text_of(member, opened.get(bytes(key), area, sizeof area)) == "value " + std::to_string(i));
    }
  }
  CHECK(heap_stats(actor).bytes > 2 * kWindowBytes);
  int i = 0;
  for (auto& [key, value] : pairs(member, owned.block.offset)) {
    CHECK(value == "value " + std::to_string(i));
    i++;
  }
  CHECK(i == kKeys);
  drop(member, owned);
}

void a_list_is_what_a_vector_is() {
  Member member(Root::create());
  Actor actor = member.actor();
  Owned owned = create(member, false);
  std::mt19937 random(7);
  std::vector<std::string> model;
  for (int step = 0; step < 20000; step++) {
    Opened opened(actor, owned.block.offset);
    const uint32_t n = static_cast<uint32_t>(model.size());
    CHECK(opened.count() == n);
    const std::string text = random_text(random);
    const uint32_t what = random() % 16;
    if (what < 8) {
      if (n > 2000) continue;
      opened.push(value_of(member, text));
      model.push_back(text);
    } else if (what < 12) {
      const uint32_t index = random() % (n + 1);
      Value value = value_of(member, text);
      CHECK(opened.set(index, value) == (index < n));
      if (index < n)
        model[index] = text;
      else if (value.message != 0)
        heap_drop(actor, member.environment->slot(), value.message);
    } else if (what < 15) {
      const bool first = random() % 2 == 0;
      Found found = opened.pop(first, area, sizeof area);
      CHECK(found.found == (n > 0));
      if (!found.found) continue;
      const auto at = first ? model.begin() : model.end() - 1;
      CHECK(text_of(member, found) == *at);
      model.erase(at);
    } else {
      const uint32_t from = random() % (n + 1), out = random() % (n - from + 1), in = random() % 4;
      Offset staged = opened.stage(1, 1);  // too short: it grows
      opened.stage_copy(&staged, 0, from);
      std::vector<std::string> more;
      for (uint32_t i = 0; i < in; i++) {
        more.push_back(random_text(random));
        opened.stage_push(&staged, value_of(member, more.back()));
      }
      opened.stage_copy(&staged, from + out, n - from - out);
      opened.publish(staged);
      model.erase(model.begin() + from, model.begin() + from + out);
      model.insert(model.begin() + from, more.begin(), more.end());
    }
  }
  CHECK(items(member, owned.block.offset) == model);
  CHECK(heap_check(actor) == "");
  {
    Opened opened(actor, owned.block.offset);
    while (opened.count() > 0) text_of(member, opened.pop(false, area, sizeof area));
  }
  CHECK(heap_stats(actor).blocks == 3);
  drop(member, owned);
  CHECK(heap_stats(actor).blocks == 0);
  CHECK(heap_check(actor) == "");
}

void what_was_there_is_met_once_while_others_write() {
  Member member(Root::create());
  Actor actor = member.actor();
  Owned owned = create(member, true);
  Opened opened(actor, owned.block.offset);
  for (int i = 0; i < 100; i++) opened.set(bytes(std::to_string(i)), inline_value("v"));
  Opened::Step step{true, 0, UINT32_MAX, 0, {}};
  const uint64_t end = opened.end();
  int met = 0;
  for (;; met++) {
    step = opened.next(step.sequence, end, step.position, area, sizeof area, false);
    if (!step.found) break;
    CHECK(std::string(area, step.key_bytes) == std::to_string(met < 50 ? met : met + 25));
    for (int i = 0; i < 20; i++)  // the table is built anew several times
      opened.set(bytes("new " + std::to_string(met) + " " + std::to_string(i)), inline_value("v"));
    if (met == 49)
      for (int i = 50; i < 75; i++) opened.remove(bytes(std::to_string(i)));
  }
  CHECK(met == 75);
}

void processes_write_at_once() {
  Member parent(Root::create());
  Owned owned = create(parent, true), list = create(parent, false);
  constexpr int kProcesses = 3, kTurns = 3000;
  std::vector<pid_t> pids;
  for (int p = 0; p < kProcesses; p++)
    pids.push_back(in_child(parent.host->root(), [&](Member& member) {
      adopt(member, owned);
      adopt(member, list);
      Actor actor = member.actor();
      for (int i = 0; i < kTurns; i++) {
        Opened opened(actor, owned.block.offset);
        Found found = opened.get(bytes("sum"), area, sizeof area);
        const int sum = found.found ? std::stoi(text_of(member, found)) : 0;
        opened.set(bytes("sum"), inline_value(std::to_string(sum + 1)));
        opened.set(bytes(std::to_string(p) + " " + std::to_string(i % 100)), inline_value(std::to_string(i)));
        Opened(actor, list.block.offset).push(inline_value(std::to_string(p)));
      }
    }));
  for (pid_t pid : pids) CHECK(wait_for(pid) == 0);
  Actor actor = parent.actor();
  CHECK(text_of(parent, Opened(actor, owned.block.offset).get(bytes("sum"), area, sizeof area)) ==
        std::to_string(kProcesses * kTurns));
  CHECK(Opened(actor, owned.block.offset).count() == 1 + 100 * kProcesses);
  CHECK(Opened(actor, list.block.offset).count() == kProcesses * kTurns);
  drop(parent, owned);
  drop(parent, list);
  eventually("all is given back", [&] { return heap_stats(actor).blocks == 0; });
}

void threads_write_at_once() {
  constexpr int kThreads = 3, kTurns = 1000;
  Member parent(Root::create());
  Owned owned = create(parent, true), list = create(parent, false);
  std::vector<std::thread> threads;
  for (int t = 0; t < kThreads; t++)
    threads.emplace_back([&, t] {
      auto environment = parent.host->enter(static_cast<uint32_t>(t) + 1);
      Actor actor = environment->actor();
      for (int i = 0; i < kTurns; i++) {
        {
          Opened opened(actor, owned.block.offset);
          Found found = opened.get(bytes("sum"), area, sizeof area);
          const int sum = found.found ? std::stoi(std::string(area, found.length)) : 0;
          opened.set(bytes("sum"), inline_value(std::to_string(sum + 1)));
          opened.set(bytes(std::to_string(t) + " " + std::to_string(i % 50)),
                     inline_value(std::string(static_cast<size_t>(i % 100), 'x')));
        }
        Opened opened(actor, list.block.offset);
        opened.push(inline_value(std::to_string(i)));
        if (i % 2 == 0) opened.pop(true, area, sizeof area);
      }
    });
  for (std::thread& thread : threads) thread.join();
  Actor actor = parent.actor();
  CHECK(text_of(parent, Opened(actor, owned.block.offset).get(bytes("sum"), area, sizeof area)) ==
        std::to_string(kThreads * kTurns));
  CHECK(Opened(actor, owned.block.offset).count() == 1 + 50 * kThreads);
  CHECK(Opened(actor, list.block.offset).count() == kThreads * kTurns / 2);
  CHECK(heap_check(actor) == "");
}

// ---- death at every step
// -------------------------------------------------------------------------------------------------------

using Step = std::function<void(Member&, Opened&)>;

/// Each kind of change: in place, appended, blocks in and out, growth, removal, a table made smaller.
std::vector<Step> dictionary_steps() {
  std::vector<Step> steps;
  auto set = [&](std::string key, std::string value) {
    steps.push_back([=](Member& m, Opened& o) { o.set(bytes(key), value_of(m, value)); });
  };
  set("a", "v1");
  set("b", "Mone");
  set("a", "v2 in place");
  set("b", "Mtwo");
  set("a", "v" + std::string(200, 'x'));
  set("b", "v three");
  set("a", "Mfour");
  for (int i = 0; i < 9; i++)
    set("grow " + std::to_string(i), i == 3 ? "Mitem" : "v" + std::string(100, 'g'));
  steps.push_back([](Member&, Opened& o) { o.remove(bytes("a")); });
  steps.push_back([](Member&, Opened& o) { o.remove(bytes("b")); });
  steps.push_back([](Member&, Opened& o) { o.clear(); });
  return steps;
}
std::vector<Step> list_steps() {
  std::vector<Step> steps;
  for (int i = 0; i < 10; i++)
    steps.push_back(
        [=](Member& m, Opened& o) { o.push(value_of(m, (i % 3 == 0 ? "M" : "v") + std::to_string(i))); });
  steps.push_back([](Member& m, Opened& o) { o.set(1, value_of(m, "Mnow")); });
  steps.push_back([](Member& m, Opened& o) { text_of(m, o.pop(true, area, sizeof area)); });
  steps.push_back([](Member& m, Opened& o) { text_of(m, o.pop(false, area, sizeof area)); });
  steps.push_back([](Member& m, Opened& o) {
    Offset staged = o.stage(2, 64);
    o.stage_copy(&staged, 0, 3);
    o.stage_push(&staged, value_of(m, "Min between"));
    o.stage_copy(&staged, 5, o.count() - 5);
    o.publish(staged);
  });
  for (int i = 0; i < 7; i++)
    steps.push_back([](Member& m, Opened& o) { text_of(m, o.pop(true, area, sizeof area)); });
  return steps;
}

/// What is in it, and how many blocks that takes.
struct Seen {
  std::vector<std::string> texts;
  uint32_t blocks;
  bool operator==(const Seen& other) const { return texts == other.texts && blocks == other.blocks; }
};
Seen look(Member& member, const Owned& owned, bool keyed) {
  Seen seen{{}, 3};
  if (keyed) {
    for (auto& [key, value] : pairs(member, owned.block.offset)) seen.texts.push_back(key + "=" + value);
  } else {
    seen.texts = items(member, owned.block.offset);
  }
  for (const std::string& text : seen.texts)
    seen.blocks += text.find("=M") != std::string::npos || (!keyed && text[0] == 'M');
  return seen;
}

void death_at_every_step(bool keyed, const std::vector<Step>& steps) {
  std::vector<Seen> states;
  {
    Member member(Root::create());
    Owned owned = create(member, keyed);
    Actor actor = member.actor();
    states.push_back(look(member, owned, keyed));
    for (const Step& step : steps) {
      Opened opened(actor, owned.block.offset);
      step(member, opened);
      states.push_back(look(member, owned, keyed));
      CHECK(heap_stats(actor).blocks == states.back().blocks);
    }
  }
  int deaths = 0;
  size_t reached = 0;
  // Each step takes its time under a sanitizer: every one of them only when asked for.
  const int64_t stride = getenv("MULTIPROC_EVERY_STEP") != nullptr ? 1 : 11;
  for (int64_t at = 1;; at += at < 40 ? 1 : stride) {
    Member parent(Root::create());
    Owned owned = create(parent, keyed);
    Actor actor = parent.actor();
    pid_t pid = in_child(parent.host->root(), [&](Member& member) {
      adopt(member, owned);
      Actor mine = member.actor();
      crash_action = kill_self;
      crash_countdown = at;
      for (const Step& step : steps) {
        Opened opened(mine, owned.block.offset);
        step(member, opened);
      }
      crash_action = nullptr;
    });
    const int result = wait_for(pid);
    // The next one has the lock, and finds what was before a change or after it.
    const Seen seen = look(parent, owned, keyed);
    size_t state = reached;
    while (state < states.size() && !(states[state] == seen)) state++;
    if (state == states.size()) {
      fprintf(stderr, "after death at step %ld: no state that is\n", static_cast<long>(at));
      for (auto& text : seen.texts) fprintf(stderr, "  %s\n", text.c_str());
      _exit(1);
    }
    reached = state;
    eventually("what the dead one had alone is gone",
               [&] { return heap_stats(actor).blocks == seen.blocks; });
    CHECK(heap_check(actor) == "");
    {
      Opened opened(actor, owned.block.offset);
      if (keyed)
        opened.set(bytes("after"), inline_value("v"));
      else
        opened.push(inline_value("v"));
    }
    drop(parent, owned);
    eventually("all is given back", [&] { return heap_stats(actor).blocks == 0; });
    if (result == 0) break;
    CHECK(result == -SIGKILL);
    deaths++;
  }
  CHECK(reached == steps.size());
  printf("    %d deaths\n", deaths);
}
void a_writer_of_a_dictionary_killed_at_every_step_leaves_the_old_or_the_new() {
  death_at_every_step(true, dictionary_steps());
}
void a_writer_of_a_list_killed_at_every_step_leaves_the_old_or_the_new() {
  death_at_every_step(false, list_steps());
}

/// Whoever writes into the memory may break what is in it, never those who read it.
void a_table_of_any_bytes_breaks_nobody() {
  std::mt19937 random(11);
  int refused = 0;
  for (int round = 0; round < 400; round++) {
    const bool keyed = round % 2 == 0;
    Member member(Root::create());
    Owned owned = create(member, keyed);
    Actor actor = member.actor();
    {
      Opened opened(actor, owned.block.offset);
      for (int i = 0; i < 20; i++) {
        const std::string text = "text " + std::to_string(i);
        if (keyed)
          opened.set(bytes(text), value_of(member, i == 5 ? "Mitem" : text));
        else
          opened.push(value_of(member, i == 5 ? "Mitem" : text));
      }
    }
    Collection& c = actor.root.ref<Collection>(owned.block.offset);
    char* table = static_cast<char*>(actor.root.at(c.table.load(), 1024));
    char* head = reinterpret_cast<char*>(&c);
    for (uint32_t i = 0; i < 1 + random() % 12; i++) {
      const uint32_t what = random() % 10;
      // The lists of the heap are another file's concern, and so are lock words.
      char* at = what == 0 ? head + 32 + random() % 64 : table + 8 + random() % (what < 4 ? 56 : 1016);
      *at = static_cast<char>(random() % 3 == 0 ? 0xff : random());
    }
    for (int i = 0; i < 30; i++) {
      try {
        Opened opened(actor, owned.block.offset);
        const std::string text = "text " + std::to_string(i);
        Found found{};
        if (keyed) {
          opened.set(bytes(text), inline_value(std::string(i * 3, 'y')));
          found = opened.get(bytes(text), area, sizeof area);
          Opened::Step step = opened.next(i, opened.end(), i, area, sizeof area, true);
          (void)step;
          opened.remove(bytes(text));
        } else {
          opened.push(inline_value(text));
          opened.set(i, inline_value(text));
          found = opened.get(i, area, sizeof area);
          opened.pop(i % 2 == 0, area, sizeof area);
        }
      } catch (const Refusal& r) {
        refused++;
      } catch (const SystemError& e) {
        refused++;
      }
    }
  }
  CHECK(refused > 100);
}

}  // namespace

int main() {
  RUN(a_dictionary_is_what_a_map_is);
  RUN(many_keys_lie_in_tables_of_many_windows);
  RUN(a_list_is_what_a_vector_is);
  RUN(what_was_there_is_met_once_while_others_write);
  RUN(threads_write_at_once);
  RUN(a_table_of_any_bytes_breaks_nobody);
#ifndef __SANITIZE_THREAD__  // TSan cannot follow threads started after a fork of a process with threads
  RUN(processes_write_at_once);
  RUN(a_writer_of_a_dictionary_killed_at_every_step_leaves_the_old_or_the_new);
  RUN(a_writer_of_a_list_killed_at_every_step_leaves_the_old_or_the_new);
#endif
  return 0;
}
