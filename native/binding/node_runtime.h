// What a fork has to touch of the runtime itself: the worker threads of V8's platform, libuv's thread pool,
// the event loop.
//
//   parent   park ─▶ every worker thread sits in a task of ours, holds no lock ─▶ fork ─▶ unpark
//   child    those threads are not there: the platform's pool is made anew in its place, the loop gets
//   descriptors
//            of its own and forgets what the parent was waiting for
//
// Most of it is private to Node: each symbol is looked up by name, each address and each offset is verified
// before anything is changed. Where one does not fit, refusal() tells, and nothing has been touched.
#pragma once
#include <cstdint>
#include <string>
#include <vector>

struct uv_loop_s;

namespace multiproc::runtime {

/// Why this runtime cannot be forked; empty: everything was found where it should be.
std::string refusal(uv_loop_s* loop);

/// Stops all worker threads at a place where they hold nothing. `threads` gets their native ids.
enum class Park { kParked, kBusy, kRefused };
Park park(uv_loop_s* loop, int64_t timeout_ns, std::vector<uint32_t>* threads, std::string* why);
void unpark();

/// While it is locked nobody else changes what is finished in libuv's pool. False: it is not where we think.
bool lock_finished_work(uv_loop_s* loop);
void unlock_finished_work(uv_loop_s* loop);

/// Bytes that the parent has yet to write to its standard output or error.
bool output_pending(uv_loop_s* loop);

/// The loop turns once more in a few ms.
void wake_soon(uv_loop_s* loop);

/// In the child, first of all. False: it cannot live.
bool renew(uv_loop_s* loop);
/// In the child: the loop forgets all descriptors, waits and requests that were the parent's. `mine`: a
/// handle that was just closed, the only one whose closing is still to be told.
void forget(uv_loop_s* loop, void* mine);

bool alive(uv_loop_s* loop);

/// A callback before the loop next waits, with no JavaScript below it. `prepare` stays valid until close().
void* prepare_start(uv_loop_s* loop, void* data, void (*callback)(void* prepare));
void*& data_of(void* handle);
/// In a child that inherited it: it does nothing any more.
void prepare_stop(void* prepare);
void prepare_close(void* prepare);

}  // namespace multiproc::runtime
