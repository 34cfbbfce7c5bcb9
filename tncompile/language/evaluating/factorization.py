"""`factor(n, parts)`: the most even factorization of an integer, and the next size that has one."""

from __future__ import annotations

from bisect import bisect_left
from functools import cache, lru_cache
from itertools import accumulate, chain, cycle
from math import isqrt, prod

LARGEST = 2**40
SPREAD = 64
"""How many times the smallest factor the largest may be."""

_WHEEL = (4, 2, 4, 2, 4, 6, 2, 6)
_SEARCH_STEPS = 1_000_000
_PADDING_TRIALS = 2_000
_PADDING_STEPS = 400_000


class TooHardError(ArithmeticError):
    """The search for the most even factorization grew beyond its limit."""


def factorize(n: int, parts: int) -> tuple[int, ...] | None:
    """`parts` factors of `n` in descending order, the largest as small as can be, then the next.

    None where the largest would be more than `SPREAD` times the smallest. `n` is at most
    `LARGEST`, both are positive.

    >>> factorize(3072, 4)
    (8, 8, 8, 6)
    >>> factorize(10007, 2) is None
    True
    """
    primes = _primes(n, _largest_factor(n, parts))
    return None if primes is None else _even(primes, parts)


def next_factorable(n: int, parts: int) -> int:
    """The smallest size above `n` that `factorize` can do; a good one near by if that is far.

    >>> next_factorable(10007, 2)
    10008
    """
    steps = 0
    for size in range(n + 1, n + 1 + _PADDING_TRIALS):
        bound = _largest_factor(size, parts)
        steps += min(isqrt(size), bound) + 64
        if steps > _PADDING_STEPS:
            break
        primes = _primes(size, bound)
        try:
            if primes is not None and _even(primes, parts) is not None:
                return size
        except TooHardError:
            continue
    # The smallest product at least `n` of factors that differ by at most one.
    root = _root(n, parts)
    high = next(k for k in range(parts + 1) if root**k * (root - 1) ** (parts - k) >= n)
    return int(root**high * (root - 1) ** (parts - high))


def _root(n: int, parts: int) -> int:
    """The smallest integer whose power `parts` is at least `n`."""
    return 1 + bisect_left(range(1, max(1, n)), n, key=lambda root: root**parts)


def _largest_factor(n: int, parts: int) -> int:
    """No good factorization has a larger factor: the smallest is at most the root."""
    return SPREAD * _root(n, parts)


@lru_cache(maxsize=4096)
def _primes(n: int, bound: int) -> tuple[int, ...] | None:
    """The prime factors of `n`, ascending; None as soon as one is known to be above `bound`."""
    primes: list[int] = []
    # 2, 3, 5 and the numbers that none of them divides
    for divisor in chain((2, 3, 5), accumulate(cycle(_WHEEL), initial=7)):
        if divisor * divisor > n:
            break
        if divisor > bound:
            return None
        while n % divisor == 0:
            primes.append(divisor)
            n //= divisor
    if n > bound:
        return None
    return (*primes, n) if n > 1 else tuple(primes)


@lru_cache(maxsize=1024)
def _even(primes: tuple[int, ...], parts: int) -> tuple[int, ...] | None:
    """The most even product of `primes` in `parts` factors, None where they spread too far."""
    if len(primes) <= parts:
        factors = (*reversed(primes), *(1,) * (parts - len(primes)))
    else:
        factors = _most_even(primes, parts) or ()
    return factors if factors and factors[0] <= SPREAD * factors[-1] else None


def _most_even(primes: tuple[int, ...], parts: int) -> tuple[int, ...] | None:
    """Depth first over the divisors, smallest largest factor first, with what failed remembered."""
    divisors = [1]
    for prime in dict.fromkeys(primes):
        powers = [prime**k for k in range(primes.count(prime) + 1)]
        divisors = [d * power for d in divisors for power in powers]
    divisors.sort()
    steps = 0

    @cache
    def search(n: int, parts: int, most: int) -> tuple[int, ...] | None:
        """`parts` factors of `n`, none above `most`, or None."""
        nonlocal steps
        if parts == 1:
            return (n,) if n <= most else None
        for first in divisors:
            steps += 1
            if steps > _SEARCH_STEPS:
                raise TooHardError
            if first > most or first > n:
                break
            if n % first or first**parts < n:
                continue
            if rest := search(n // first, parts - 1, first):
                return (first, *rest)
        return None

    return search(prod(primes), parts, prod(primes))
