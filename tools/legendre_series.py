"""Write csrc/kernels/rules/legendre_series.hpp: the numbers behind Gauss-Legendre rules of many nodes.

With N = n + 1/2 and v = 1/N, u(t) = sqrt(sin t) P_n(cos t) solves u'' + (N^2 + 1 / (4 sin^2 t)) u = 0, and
sqrt(x) J0(N x) solves the same with 1 / (4 x^2). A map t(x) that turns one into the other obeys

    t'^2 + v^2 (t'^2 / (4 sin^2 t) + {t, x} / 2) = 1 + v^2 / (4 x^2),    {t, x} = (t''/t')' - (t''/t')^2 / 2,

and is odd. Written t = x (1 + v^2 p_1(x^2) + v^4 p_2(x^2) + ...), each p_j follows from those before it. The nodes of
the rule are then the images of the zeros of J0, and the weights need no more than t' there (gauss_legendre.cpp). The
idea of such an expansion is Bogaert's (SIAM J. Sci. Comput. 36(3), 2014, A1008); here p_j comes as a Taylor series,
which is then replaced by the polynomial of lowest degree that serves on 0 <= t <= pi/2 from n = LEAST_N on.

Run ``python tools/legendre_series.py``, then clang-format; it needs mpmath and takes some seconds.
"""

from __future__ import annotations

from pathlib import Path

import mpmath as mp

ORDERS = 5  # p_1 .. p_5: the first one left out is below 1e-17 at LEAST_N
LEAST_N = 32
TAYLOR = 64
ZEROS = 20  # beyond, asymptotic expansions in 1/zero give all digits
TARGET = Path(__file__).parent.parent / "csrc/kernels/rules/legendre_series.hpp"

Series = list[list[mp.mpf]]  # [power of v^2][power of x^2]

mp.mp.dps = 50


def constant(value: int) -> Series:
    """Return the series of a number."""
    series = [[mp.mpf(0)] * (TAYLOR + 1) for _ in range(ORDERS + 1)]
    series[0][0] = mp.mpf(value)
    return series


def add(a: Series, b: Series, factor: float = 1) -> Series:
    """Return a + factor * b."""
    return [[x + factor * y for x, y in zip(p, q, strict=True)] for p, q in zip(a, b, strict=True)]


def multiply(a: Series, b: Series) -> Series:
    """Return a * b."""
    product = constant(0)
    for i in range(ORDERS + 1):
        for j in range(ORDERS + 1 - i):
            if not (any(a[i]) and any(b[j])):
                continue
            for k in range(TAYLOR + 1):
                product[i + j][k] += mp.fdot(a[i][: k + 1], reversed(b[j][: k + 1]))
    return product


def invert(a: Series) -> Series:
    """Return 1 / a for a = 1 + O(v^2)."""
    rest = add(constant(1), a, -1)
    result = constant(1)
    for _ in range(ORDERS):
        result = add(constant(1), multiply(rest, result))
    return result


def times_square(a: Series) -> Series:
    """Return x^2 a."""
    return [[mp.mpf(0), *p[:-1]] for p in a]


def over_square(a: Series) -> Series:
    """Return a / x^2 for an a without constant term."""
    return [[*p[1:], mp.mpf(0)] for p in a]


def odd_derivative(a: Series) -> Series:
    """Return d(x a)/dx."""
    return [[(2 * m + 1) * c for m, c in enumerate(p)] for p in a]


def square_of_cosecant(square: Series) -> Series:
    """Return 1 / sin^2 t - 1 / t^2 for t = x * sqrt(square)."""
    argument = times_square(square)
    result = constant(0)
    for k in range(TAYLOR + 1, 0, -1):
        result = multiply(argument, result)
        result[0][0] += (-1) ** (k + 1) * mp.mpf(4) ** k * (2 * k - 1) * mp.bernoulli(2 * k) / mp.factorial(2 * k)
    return result


def solve() -> Series:
    """Return 1 + v^2 p_1 + ..."""
    q = constant(1)
    for order in range(1, ORDERS + 1):
        first = odd_derivative(q)
        second = over_square([[2 * m * c for m, c in enumerate(p)] for p in first])  # t'' / x
        bend = multiply(second, invert(first))  # t'' / (t' x)
        schwarzian = add(odd_derivative(bend), times_square(multiply(bend, bend)), -0.5)
        speed, square = multiply(first, first), multiply(q, q)
        at_origin = over_square(add(multiply(speed, invert(square)), constant(1), -1))
        potential = add(at_origin, multiply(speed, square_of_cosecant(square)))
        for m in range(TAYLOR + 1):
            excess = speed[order][m] + potential[order - 1][m] / 4 + schwarzian[order - 1][m] / 2
            q[order][m] = -excess / (2 * (2 * m + 1))
    return q


def economize(p: list[mp.mpf], size: mp.mpf) -> list[mp.mpf]:
    """Return the shortest polynomial for p whose errors, in t and in t', are below 1e-17 when multiplied by size."""
    top = (mp.pi / 2) ** 2
    probes = [top * k / 200 for k in range(201)]

    def worst(short: list[mp.mpf]) -> mp.mpf:
        differences = [a - b for a, b in zip(p, [*short, *[0] * len(p)], strict=False)]
        slopes = [(2 * m + 1) * c for m, c in enumerate(differences)]
        return max(abs(mp.polyval(slopes[::-1], x)) for x in probes) * size

    degree = 0
    while True:
        short = mp.chebyfit(lambda x: mp.polyval(p[::-1], x), [0, top], degree + 1)[::-1]
        if worst(short) < 1e-17:
            return list(short)
        degree += 1


def number(value: mp.mpf) -> str:
    """Write a double with all its digits."""
    return mp.nstr(value, 17, min_fixed=0, max_fixed=0)


def main() -> None:
    """Write the header."""
    v2 = 1 / (mp.mpf(LEAST_N) + 0.5) ** 2
    rows = [economize(p, v2 ** (j + 1)) for j, p in enumerate(solve()[1:])]
    terms = max(map(len, rows))
    series = ",\n".join("    {" + ", ".join(map(number, row)) + "}" for row in rows)
    zeros = [mp.besseljzero(0, k) for k in range(1, ZEROS + 1)]
    table = ",\n".join(f"    {{{number(j)}, {number(1 / (j * mp.besselj(1, j) ** 2))}}}" for j in zeros)
    TARGET.write_text(f"""\
// Made by tools/legendre_series.py, which says what these numbers are. Do not edit.
#pragma once

#include <cstddef>

namespace pyig::rules {{

// The expansion holds to the last digit from this number of nodes on.
constexpr std::size_t least_expanded = {LEAST_N};

// theta = x (1 + v^2 p_1(x^2) + v^4 p_2(x^2) + ...): coefficients of p_1, p_2, ..., lowest power first.
constexpr std::size_t series_orders = {ORDERS};
constexpr std::size_t series_terms = {terms};
constexpr double series[series_orders][series_terms] = {{
{series}}};

// First zeros j of the Bessel function J0, and 1 / (j J1(j)^2).
struct BesselZero {{
    double zero;
    double strength;
}};
constexpr std::size_t tabulated_zeros = {ZEROS};
constexpr BesselZero bessel_zeros[tabulated_zeros] = {{
{table}}};

}} // namespace pyig::rules
""")


if __name__ == "__main__":
    main()
