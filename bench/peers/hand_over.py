# µs for a round trip of two processes that hand each other semaphores: each blocks until the other releases for it.
import multiprocessing, time

N = 10_000
ROUNDS = 4


def answer(there, back, n):
    for _ in range(n):
        there.acquire()
        back.release()


if __name__ == "__main__":
    context = multiprocessing.get_context("fork")
    there, back = context.Semaphore(0), context.Semaphore(0)
    other = context.Process(target=answer, args=(there, back, N * ROUNDS))
    other.start()
    best = float("inf")
    for _ in range(ROUNDS):
        start = time.perf_counter()
        for _ in range(N):
            there.release()
            back.acquire()
        best = min(best, (time.perf_counter() - start) * 1e6 / N)
    other.join()
    print(best)
