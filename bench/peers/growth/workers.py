# A Pool of x workers: no-op tasks a second in bulk, and how many times as fast as a plain loop it computes.
import json, os, sys, time
from multiprocessing import get_context


def compute(iterations):
    x = 1
    for _ in range(iterations):
        x = (x * 1103515245 + 12345) % 2147483648
    return x


def noop():
    pass


PARTS = 48

if __name__ == "__main__":
    budget, xs = float(sys.argv[2]), [int(x) for x in sys.argv[3:]]
    begun = time.perf_counter()
    compute(500_000)
    ms = (time.perf_counter() - begun) * 1e3
    iterations = max(1, int(500_000 / ms * budget * os.cpu_count() / PARTS))
    begun = time.perf_counter()
    for _ in range(PARTS):
        compute(iterations)
    alone = time.perf_counter() - begun
    for x in xs:
        with get_context("fork").Pool(x) as pool:
            pool.map(compute, [1000] * (4 * x), chunksize=1)
            n, took = 2, 0
            while took < budget:
                n *= 2
                begun = time.perf_counter()
                for result in [pool.apply_async(noop) for _ in range(n)]:
                    result.get()
                took = (time.perf_counter() - begun) * 1e3
            begun = time.perf_counter()
            pool.map(compute, [iterations] * PARTS, chunksize=1)
            speed = alone / (time.perf_counter() - begun)
        print(json.dumps({"x": x, "tasks": n / took * 1e3, "speed": speed}), flush=True)
