"""pool.py WHAT: one figure of multiprocessing.Pool with 2 workers."""
import sys
import time
from array import array
from multiprocessing import Pool


def square(x):
    return x * x


def echo(a):
    return a


def noop():
    pass


if __name__ == '__main__':
    what = sys.argv[1]
    with Pool(2) as pool:
        pool.map(square, range(1000))
        if what == 'map':
            items = list(range(200_000))
            pool.map(square, items)
            begun = time.perf_counter()
            pool.map(square, items)
            print(len(items) / (time.perf_counter() - begun))
        elif what == 'bulk':
            n = 20_000
            begun = time.perf_counter()
            for result in [pool.apply_async(noop) for _ in range(n)]:
                result.get()
            print(n / (time.perf_counter() - begun))
        elif what == 'array':
            n = 200
            a = array('d', bytes(1 << 20))
            begun = time.perf_counter()
            for result in [pool.apply_async(echo, (a,)) for _ in range(n)]:
                result.get()
            print(n / (time.perf_counter() - begun))
