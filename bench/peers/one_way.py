# Messages per second one way through a Queue: `int` or `object`.
import multiprocessing, sys, time

N = 60_000
ROUNDS = 3


def produce(q, start, n, objects):
    start.wait()
    if objects:
        for i in range(n):
            q.put({"id": i, "op": "add", "args": [1, 2, 3]})
    else:
        for i in range(n):
            q.put(i & 127)


def consume(q, start, end, n):
    start.wait()
    for _ in range(n):
        q.get()
    end.wait()


if __name__ == "__main__":
    context = multiprocessing.get_context("fork")
    best = 0
    for _ in range(ROUNDS):
        q, start, end = context.Queue(), context.Barrier(3), context.Barrier(2)
        both = [
            context.Process(target=produce, args=(q, start, N, sys.argv[1] == "object")),
            context.Process(target=consume, args=(q, start, end, N)),
        ]
        for p in both:
            p.start()
        start.wait()
        began = time.perf_counter()
        end.wait()
        best = max(best, N / (time.perf_counter() - began))
        for p in both:
            p.join()
    print(best)
