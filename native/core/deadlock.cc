#include "core/deadlock.h"

#include <algorithm>
#include <cstring>
#include <map>
#include <vector>

namespace multiproc {

namespace {

struct Node {
  Blocked how;
  Offset object;
  uint32_t number;
  std::vector<uint32_t> resolvers;  ///< slots that could end the wait; the first: whom to name
  bool operator==(const Node& o) const {
    return how == o.how && object == o.object && number == o.number && resolvers == o.resolvers;
  }
};
using Graph = std::map<uint32_t, Node>;

uint32_t slots_in_use(Root& root) { return std::min(root.header().slot_high.load(), kSlots); }

bool living(Root& root, uint32_t slot) { return state_of(root.slot(slot).state.load()) == SlotState::kLive; }

/// Who could end this wait, with the root lock held; false: it may end by itself.
bool find_resolvers(Root& root, Node& node) {
  switch (node.how) {
    case Blocked::kNot:
    case Blocked::kTold:
      return false;
    case Blocked::kLock:
    case Blocked::kOwned: {
      Owner owner = root.ref<LockCell>(node.object).word.load() & ~kFlags;
      if (owner < kSlots || owner_reaped(root, owner)) return false;  // free, handed over, or a dead one's
      node.resolvers.push_back(slot_of(owner));
      if (node.how == Blocked::kLock)
        for (uint32_t holder : heap_holders(root, node.object))
          if (holder != slot_of(owner)) node.resolvers.push_back(holder);
      return true;
    }
    case Blocked::kCells:
      for (Offset at = node.object + kSyncHead; at < node.object + kSyncCellsEnd; at += sizeof(SyncCell)) {
        SyncCell& cell = root.ref<SyncCell>(at);
        Owner owner = cell.owner.load();
        if (cell.held == 0 || owner < kSlots) continue;
        if (owner_reaped(root, owner)) return false;
        node.resolvers.push_back(slot_of(owner));
      }
      return !node.resolvers.empty();
    case Blocked::kProcess: {
      Owner child = static_cast<Owner>(node.object);
      if (owner_reaped(root, child) || !living(root, slot_of(child))) return false;
      Owner process = root.slot(slot_of(child)).process.load();
      node.resolvers.push_back(slot_of(child));
      for (uint32_t i = 0; i < slots_in_use(root); i++)
        if (i != slot_of(process) && i != slot_of(child) && living(root, i) &&
            root.slot(i).process.load() == process)
          node.resolvers.push_back(i);
      return true;
    }
  }
  return false;
}

/// All threads that can never go on, as far as can be seen now.
Graph stuck(Actor& actor) {
  RootGuard guard(actor);
  Root& root = actor.root;
  Graph graph;
  for (uint32_t i = 0; i < slots_in_use(root); i++) {
    Slot& s = root.slot(i);
    Blocked how = static_cast<Blocked>(s.blocked.load());
    if (how == Blocked::kNot || !living(root, i)) continue;
    Node node{how, s.blocked_in.load(), s.blocked_number.load(), {}};
    if (find_resolvers(root, node)) graph.emplace(i, std::move(node));
  }
  for (bool changed = true; changed;) {
    changed = false;
    for (auto it = graph.begin(); it != graph.end();) {
      const auto& resolvers = it->second.resolvers;
      bool free =
          std::any_of(resolvers.begin(), resolvers.end(), [&](uint32_t r) { return graph.count(r) == 0; });
      changed = changed || free;
      it = free ? graph.erase(it) : std::next(it);
    }
  }
  return graph;
}

/// The circle that one comes into by always asking who holds what one waits for; empty if `from` is not in
/// it.
std::vector<uint32_t> circle(const Graph& graph, uint32_t from) {
  std::vector<uint32_t> way{from};
  for (;;) {
    auto it = graph.find(way.back());
    if (it == graph.end()) return {};
    uint32_t next = it->second.resolvers.front();
    if (next == from) return way;
    if (std::find(way.begin(), way.end(), next) != way.end()) return {};
    way.push_back(next);
  }
}

std::string name_of_thread(Root& root, uint32_t slot) {
  Slot& s = root.slot(slot);
  std::string text = "process " + std::to_string(s.pid);
  if (s.name[0] != 0)
    text = std::string(s.name, strnlen(s.name, sizeof s.name)) + " (pid " + std::to_string(s.pid) + ")";
  if (s.node_thread != 0) text += " thread " + std::to_string(s.node_thread);
  return text;
}

std::string name_of_object(Root& root, const Node& node) {
  const char* what = node.how == Blocked::kLock ? "Lock" : node.how == Blocked::kOwned ? "RLock" : "RWLock";
  std::string name = heap_label(root, node.object);
  if (!name.empty() && name[0] != '@') return std::string(what) + " '" + name + "'";
  return std::string(node.how == Blocked::kLock ? "a " : "an ") + what +
         (name.empty() ? "" : " made at " + name.substr(1));
}

std::string story(Root& root, const Graph& graph, const std::vector<uint32_t>& way) {
  std::string text = "deadlock: ";
  for (size_t i = 0; i < way.size(); i++) {
    const Node& node = graph.at(way[i]);
    std::string next = name_of_thread(root, node.resolvers.front());
    if (i > 0) text += "; ";
    text += name_of_thread(root, way[i]);
    text += node.how == Blocked::kProcess
                ? " waits for the end of " + next
                : " waits for " + name_of_object(root, node) + ", which " + next + " holds";
  }
  return text;
}

}  // namespace

BlockedIn::BlockedIn(Actor& actor, Blocked how, Offset object) : actor_(actor) {
  Slot& s = actor.root.slot(slot_of(actor.me));
  s.blocked_in.store(object);
  s.blocked_number.fetch_add(1);
  s.blocked.store(static_cast<uint32_t>(how));
}

BlockedIn::~BlockedIn() { actor_.root.slot(slot_of(actor_.me)).blocked.store(0); }

void BlockedIn::check() {
  const uint32_t me = slot_of(actor_.me);
  Graph first = stuck(actor_);
  std::vector<uint32_t> way = circle(first, me);
  if (way.empty() || *std::max_element(way.begin(), way.end()) != me) return;
  // What was seen was not seen at one moment: it is true if it is the same a moment later, wait for wait.
  platform::nap(1000000);
  Graph second = stuck(actor_);
  if (circle(second, me) != way) return;
  for (uint32_t slot : way)
    if (!(first.at(slot) == second.at(slot))) return;
  throw Refusal{"ERR_MP_DEADLOCK", story(actor_.root, second, way)};
}

}  // namespace multiproc
