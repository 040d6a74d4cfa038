# ns for one locked increment of a Value.
import multiprocessing, time

value = multiprocessing.Value("i", 0)
N = 200_000
best = float("inf")
for _ in range(5):
    start = time.perf_counter_ns()
    for _ in range(N):
        with value.get_lock():
            value.value += 1
    best = min(best, (time.perf_counter_ns() - start) / N)
print(best)
