# ns for one acquire + release of a Lock that nobody else wants.
import multiprocessing, time

lock = multiprocessing.Lock()
N = 500_000
best = float("inf")
for _ in range(5):
    start = time.perf_counter_ns()
    for _ in range(N):
        lock.acquire()
        lock.release()
    best = min(best, (time.perf_counter_ns() - start) / N)
print(best)
