# dict.py set | get: operations per second on a Manager's dict, small values under 100 keys.
import multiprocessing, sys, time

if __name__ == "__main__":
    what = sys.argv[1]
    with multiprocessing.Manager() as manager:
        shared = manager.dict()
        keys = [f"key {i}" for i in range(100)]
        for i, key in enumerate(keys):
            shared[key] = i
        N = 4_000
        best = 0
        for _ in range(5):
            total = 0
            start = time.perf_counter()
            if what == "set":
                for i in range(N):
                    shared[keys[i % 100]] = i
            else:
                for i in range(N):
                    total += shared[keys[i % 100]]
            best = max(best, N / (time.perf_counter() - start))
            assert what == "set" or total == 49.5 * N
    print(best)
