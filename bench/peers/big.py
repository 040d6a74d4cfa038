# ms for 16 MB one way by send_bytes, with a word back.
import multiprocessing, time

ROUNDS = 40


def answer(c):
    while len(c.recv_bytes()) > 0:
        c.send_bytes(b"1")


if __name__ == "__main__":
    context = multiprocessing.get_context("fork")
    here, there = context.Pipe()
    other = context.Process(target=answer, args=(there,))
    other.start()
    data = bytes(16_000_000)
    times = []
    for _ in range(ROUNDS):
        start = time.perf_counter()
        here.send_bytes(data)
        here.recv_bytes()
        times.append((time.perf_counter() - start) * 1e3)
    here.send_bytes(b"")
    other.join()
    print(sorted(times)[ROUNDS // 2])
