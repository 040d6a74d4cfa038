# ms for start() and join() of a child that does nothing.
import multiprocessing, time


def nothing():
    pass


if __name__ == "__main__":
    context = multiprocessing.get_context("spawn")
    times = []
    for _ in range(10):
        start = time.perf_counter()
        p = context.Process(target=nothing)
        p.start()
        p.join()
        times.append((time.perf_counter() - start) * 1000)
    print(sorted(times)[5])
