# Operations (acquire + release) per second of two processes that want the same Lock all the time.
import multiprocessing, time

SECONDS = 1.5


def contend(lock, go, stop, total):
    with go.get_lock():
        go.value += 1
    while go.value < 3:
        pass
    n = 0
    while stop.value == 0:
        for _ in range(1000):
            lock.acquire()
            lock.release()
        n += 1000
    with total.get_lock():
        total.value += n


if __name__ == "__main__":
    context = multiprocessing.get_context("fork")
    lock, go, stop, total = context.Lock(), context.Value("i", 0), context.Value("i", 0), context.Value("d", 0)
    both = [context.Process(target=contend, args=(lock, go, stop, total)) for _ in range(2)]
    for p in both:
        p.start()
    while go.value < 2:
        time.sleep(0.005)
    start = time.perf_counter()
    go.value = 3
    time.sleep(SECONDS)
    stop.value = 1
    for p in both:
        p.join()
    print(total.value / (time.perf_counter() - start))
