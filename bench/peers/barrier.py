# Rounds per second of a Barrier of 4 processes: the best of four runs.
import multiprocessing, time

PARTIES = 4
N = 2000
RUNS = 4


def rounds(barrier, n):
    for _ in range(n):
        barrier.wait()


if __name__ == "__main__":
    context = multiprocessing.get_context("fork")
    barrier = context.Barrier(PARTIES)
    children = [context.Process(target=rounds, args=(barrier, N * RUNS + 1)) for _ in range(PARTIES - 1)]
    for p in children:
        p.start()
    barrier.wait()
    best = 0
    for _ in range(RUNS):
        start = time.perf_counter()
        rounds(barrier, N)
        best = max(best, N / (time.perf_counter() - start))
    for p in children:
        p.join()
    print(best)
