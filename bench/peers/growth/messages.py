# Messages of x bytes one way, with a word back after each batch: `pipe`: Pipe.send_bytes; `queue`: Queue.put.
import json, multiprocessing, sys, time


def read_pipe(c):
    while n := c.recv():
        for _ in range(n):
            c.recv_bytes()
        c.send(n)


def read_queue(q, back):
    while n := q.get():
        for _ in range(n):
            q.get()
        back.put(n)


if __name__ == "__main__":
    what, budget, xs = sys.argv[1], float(sys.argv[2]), [int(x) for x in sys.argv[3:]]
    context = multiprocessing.get_context("fork")
    if what == "pipe":
        here, there = context.Pipe()
        other = context.Process(target=read_pipe, args=(there,))
        put, get, put_bytes = here.send, here.recv, here.send_bytes
    else:
        queue, back = context.Queue(), context.Queue()
        other = context.Process(target=read_queue, args=(queue, back))
        put, get, put_bytes = queue.put, back.get, queue.put
    other.start()

    def batch(n, message):
        put(n)
        for _ in range(n):
            put_bytes(message)
        get()

    for x in xs:
        message, n, took = b"\x07" * x, 2, 0
        batch(1, message)
        while took < budget:
            n *= 2
            begun = time.perf_counter()
            batch(n, message)
            took = (time.perf_counter() - begun) * 1e3
        ms = took / n
        print(json.dumps({"x": x, "time": ms * 1000, "rate": x / ms / 1e6}), flush=True)
    put(0)
    other.join()
