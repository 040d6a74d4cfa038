#include "core/descriptors.h"

#include <cerrno>
#include <cstring>
#include <random>
#include <utility>

#include "platform/descriptors.h"

namespace multiproc {

namespace {

constexpr uint64_t kAsked = 1;
constexpr uint64_t kFailed = 2;                 ///< + errno
constexpr uint64_t kNames = uint64_t{1} << 32;  ///< names of brokers are greater
constexpr uint64_t kLookNs = uint64_t{100} * 1000000;
constexpr int64_t kOwnBrokerNs = int64_t{5} * 1000000000;
constexpr int64_t kOtherBrokerNs = int64_t{300} * 1000000;
constexpr int64_t kShortNs = int64_t{500} * 1000000;
constexpr int64_t kLongNs = int64_t{5} * 1000000000;
constexpr uint64_t kDeafNs = uint64_t{5} * 1000000000;

/// What a block says of its descriptor.
struct Travelling {
  std::atomic<uint64_t> token[2];
  std::atomic<uint64_t> brokers[2];  ///< 0: none
};
static_assert(sizeof(Travelling) == 32, "");

Token token_of(const Travelling& t) {
  uint64_t words[2] = {t.token[0].load(), t.token[1].load()};
  Token token;
  memcpy(token.data(), words, sizeof words);
  return token;
}

bool lives(Actor& actor, const Broker::Kept& kept) {
  try {
    return heap_find(actor, kept.block).generation == kept.generation;
  } catch (const Refusal&) {
    return false;
  }
}

}  // namespace

/// The name of the broker of a process; 0: it has none, and does not make one. Throws its errors.
uint64_t Descriptors::ask_for_broker(Owner process, int64_t timeout_ns) {
  Slot& s = root_.slot(slot_of(process));
  const uint64_t start = platform::now_ns();
  bool asked = false;
  for (int i = 0;; i++) {
    if (owner_reaped(root_, process)) return 0;
    uint64_t seen = s.broker.load();
    if (seen >= kNames) return seen;
    if (seen >= kFailed) {
      s.broker.compare_exchange_strong(seen, 0);
      if (asked) throw SystemError{static_cast<int>(seen - kFailed), "listen"};
      continue;
    }
    if (seen == 0 && s.broker.compare_exchange_strong(seen, kAsked)) {
      asked = true;
      wake_helper(s);
    }
    if (platform::now_ns() - start > static_cast<uint64_t>(timeout_ns)) return 0;
    platform::nap(i < 20 ? 20 * 1000 : 1000 * 1000);
  }
}

Block Descriptors::send(Actor& actor, uint32_t slot, Owner process, Owner parent, int descriptor) {
  int copy = platform::descriptor_copy(descriptor);
  check_system(copy, "dup");
  Broker* broker = nullptr;
  Block block;
  try {
    if (ask_for_broker(process, kOwnBrokerNs) == 0) throw SystemError{ETIMEDOUT, "listen"};
    broker = broker_.load();
    block = heap_allocate(actor, slot, sizeof(Travelling), Kind::kData);
  } catch (...) {
    platform::descriptor_close(copy);
    throw;
  }
  Travelling& t = root_.ref<Travelling>(block.offset);
  std::random_device random;
  for (auto& word : t.token) word.store(uint64_t{random()} << 32 | random());
  t.brokers[0].store(broker->name());
  const Broker::Kept kept{token_of(t), block.offset, block.generation, copy};
  if (parent != 0 && platform::now_ns() >= deaf_until_.load()) {
    uint64_t other = 0;
    try {
      other = ask_for_broker(parent, kOtherBrokerNs);
      if (other == 0) deaf_until_.store(platform::now_ns() + kDeafNs);
    } catch (const SystemError&) {  // it has no descriptors left: then there is one keeper only
    }
    if (other != 0 && broker_keep(other, kept) == 0) t.brokers[1].store(other);
  }
  broker->keep(kept);
  return block;
}

int Descriptors::receive(Actor& actor, uint32_t slot, Offset offset, uint32_t generation, bool drop) {
  Block block = heap_hold(actor, slot, offset, generation);
  int connection = -1;
  int result = -ECONNREFUSED;
  if (block.kind == Kind::kData && block.bytes == sizeof(Travelling)) {
    const Travelling& t = root_.ref<Travelling>(offset);
    // A sender that is stopped must not keep us long from its parent's copy.
    const uint64_t first = t.brokers[0].load(), second = t.brokers[1].load();
    const std::pair<uint64_t, int64_t> attempts[] = {
        {second >= kNames ? first : 0, kShortNs}, {second, kLongNs}, {first, kLongNs}};
    for (auto [name, timeout] : attempts) {
      if (name < kNames) continue;
      int got = broker_fetch(name, token_of(t), timeout, &connection);
      // That one is gone says less than what is wrong with the other one.
      if (got >= 0 || result == -ECONNREFUSED) result = got;
      if (got >= 0 || got == -EMFILE) break;
    }
  } else {
    result = -EINVAL;
  }
  if (drop) heap_drop(actor, slot, offset);
  if (connection >= 0) platform::descriptor_close(connection);
  if (result == -EINVAL) throw Refusal{"ERR_MP_CORRUPT", "a handle names an object of another kind"};
  if (result == -ECONNREFUSED || result == -ENOENT)
    throw Refusal{"ERR_MP_GONE", "the process that sent it has ended, and nobody else has kept it open"};
  check_system(result, "recvmsg");
  return result;
}

void Descriptors::pass_on(Owner me, Ringer& ringer, Owner heir) {
  if (!keeps_any()) return;
  uint64_t other = 0;
  try {
    other = ask_for_broker(heir, kOtherBrokerNs);
  } catch (const SystemError&) {
  }
  if (other == 0) return;
  Actor actor{root_, ringer, me};
  for (const Broker::Kept& kept : broker_.load()->all()) {
    try {
      heap_hold(actor, slot_of(me), kept.block, kept.generation);
      if (broker_keep(other, kept) == 0) root_.ref<Travelling>(kept.block).brokers[1].store(other);
      heap_drop(actor, slot_of(me), kept.block);
    } catch (const Refusal&) {  // its message is gone
    }
    platform::descriptor_close(kept.descriptor);
  }
}

// ---- the keeper's side
// -------------------------------------------------------------------------------------------

/// Only a process of the family can have written the token into the shared memory.
bool Descriptors::is_expected(const Broker::Kept& kept) {
  try {
    return kept.block >= kDataAt && token_of(root_.ref<Travelling>(kept.block)) == kept.token;
  } catch (const Refusal&) {
    return false;
  } catch (const SystemError&) {
    return false;
  }
}

void Descriptors::start_broker(Owner me) {
  Slot& s = root_.slot(slot_of(me));
  std::lock_guard<std::mutex> guard(starting_);
  try {
    owned_ = std::make_unique<Broker>([this](const Broker::Kept& kept) { return is_expected(kept); },
                                      [this, &s] {
                                        look_.store(true);
                                        wake_helper(s);
                                      });
    broker_.store(owned_.get());
    s.broker.store(owned_->name());
  } catch (const SystemError& e) {
    s.broker.store(kFailed + static_cast<uint64_t>(e.error));
  }
}

void Descriptors::tend(Owner me, Ringer& ringer) {
  if (root_.slot(slot_of(me)).broker.load() == kAsked) start_broker(me);
  if (!keeps_any()) return;
  const uint64_t now = platform::now_ns();
  if (!look_.exchange(false) && now - looked_ < kLookNs) return;
  looked_ = now;
  Actor actor{root_, ringer, me};
  owned_->close_unless([&](const Broker::Kept& kept) { return lives(actor, kept); });
}

bool Descriptors::keeps_any() const {
  Broker* broker = broker_.load();
  return broker != nullptr && broker->size() > 0;
}

// ---- forking
// ----------------------------------------------------------------------------------------------------------

void Descriptors::freeze() {
  starting_.lock();
  if (owned_ != nullptr) owned_->freeze();
}

void Descriptors::thaw() {
  if (owned_ != nullptr) owned_->thaw();
  starting_.unlock();
}

void Descriptors::abandon() {
  if (owned_ != nullptr) owned_->abandon();
}

uint32_t Descriptors::thread_id() const {
  Broker* broker = broker_.load();
  return broker == nullptr ? 0 : broker->thread_id();
}

}  // namespace multiproc
