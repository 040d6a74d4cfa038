# ms for start() and join() of a child that does nothing, with a start method: the median of 30, after a first one.
import multiprocessing, sys, time


def nothing():
    pass


if __name__ == "__main__":
    context = multiprocessing.get_context(sys.argv[1])
    times = []
    for _ in range(31):
        start = time.perf_counter()
        p = context.Process(target=nothing)
        p.start()
        p.join()
        times.append((time.perf_counter() - start) * 1000)
    print(sorted(times[1:])[15])
