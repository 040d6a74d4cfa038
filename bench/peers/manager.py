# Operations on a manager's dict in a second: `set`: d[k] = v; `get`: d[k].
import multiprocessing, sys, time

N = 5_000
ROUNDS = 5

if __name__ == "__main__":
    what = sys.argv[1]
    with multiprocessing.get_context("fork").Manager() as manager:
        d = manager.dict({"key": 1})
        best = 0.0
        for _ in range(ROUNDS):
            start = time.perf_counter()
            if what == "set":
                for i in range(N):
                    d["key"] = i
            else:
                for i in range(N):
                    d["key"]
            best = max(best, N / (time.perf_counter() - start))
        print(best)
