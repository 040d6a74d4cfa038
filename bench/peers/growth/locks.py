# A Lock that x processes want all the time: acquisitions a second of all, and what the one that got least has of its fair share, %.
import json, multiprocessing, sys, time


def contend(lock, ready, go, counts, me):
    with ready.get_lock():
        ready.value += 1
    while go.value == 0:
        time.sleep(0.002)
    n = 0
    while go.value == 1:
        for _ in range(100):
            lock.acquire()
            lock.release()
        n += 100
    counts[me] = n


if __name__ == "__main__":
    budget, xs = float(sys.argv[2]), [int(x) for x in sys.argv[3:]]
    context = multiprocessing.get_context("fork")
    for x in xs:
        lock, ready = context.Lock(), context.Value("i", 0)
        go, counts = context.RawValue("i", 0), context.RawArray("d", x)
        all = [context.Process(target=contend, args=(lock, ready, go, counts, me)) for me in range(x)]
        for p in all:
            p.start()
        while ready.value < x:
            time.sleep(0.002)
        begun = time.perf_counter()
        go.value = 1
        time.sleep(budget / 1e3)
        go.value = 2
        for p in all:
            p.join()
        took = time.perf_counter() - begun
        total = sum(counts)
        print(json.dumps({"x": x, "rate": total / took, "share": min(counts) / (total / x) * 100}), flush=True)
