# A Queue into which x small dicts are put before one is taken: µs for a put and for a get, bytes of memory for a message.
import json, multiprocessing, sys, time


def resident():
    with open("/proc/self/status") as status:
        return next(int(line.split()[1]) for line in status if line.startswith("VmRSS:")) * 1024


if __name__ == "__main__":
    budget, xs = float(sys.argv[2]), [int(x) for x in sys.argv[3:]]
    for x in xs:
        queue = multiprocessing.get_context("fork").Queue()
        put = get = rounds = 0
        memory = None
        while put + get < budget:
            before = resident()
            begun = time.perf_counter()
            for i in range(x):
                queue.put({"id": i, "op": "add", "args": [1, 2, 3]})
            put += (time.perf_counter() - begun) * 1e3
            if rounds == 0 and x >= 100_000:
                memory = (resident() - before) / x
            begun = time.perf_counter()
            for i in range(x):
                queue.get()
            get += (time.perf_counter() - begun) * 1e3
            rounds += 1
        queue.close()
        print(json.dumps({"x": x, "put": put * 1e3 / rounds / x, "get": get * 1e3 / rounds / x, "memory": memory}), flush=True)
