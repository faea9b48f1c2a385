"""P(sum of lam_j E_j <= 0) for independent standard exponential E_j: the number behind every exact p-value here.

The sum has the moment generating function M(s) = prod (1 - s lam_j)^-1, finite between 1/min(lam) and 1/max(lam). On
any vertical line left of 0 in that strip, minus the integral of M(s)/s, divided by 2 pi i, is the probability. The line
is laid through the saddle of M(s)/|s|, where the integrand falls fastest and no digits cancel. Along the line the nodes
are the hyperbolic sine of an even grid: the trapezium rule then converges geometrically, whether the integrand falls
like a Gaussian (many terms) or like a power (two terms).
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = ["tail"]

_SEARCHES = 60
_CLOSE = 1e-6
"""How near to the saddle, in shares of its distance to the ends: the line may pass beside it."""
_STEP = 0.2
_TURN = 1.5
"""Radians from node to node at most."""
_RELIEF = 15.0
_TRIALS = 12
_NEGLIGIBLE = 36.0
"""Where the integrand is exp(-36) of its top the rest is left out: 2e-16."""
_LARGEST = 1e300
_BLOCK = 16_384
"""Coefficients at once: what a processor's own memory holds."""
_AT_ONCE = 4 * _BLOCK
"""Coefficients times nodes at once."""

Floats = NDArray[np.float64]


def tail(lam: NDArray[np.float64], counts: NDArray[np.float64] | None = None) -> NDArray[np.float64]:
    """Return P(sum_j lam_j G_j <= 0) for each row, with an absolute error below 1e-9 (measured: 5e-11).

    Args:
        lam: (rows, terms), finite.
        counts: (rows, terms) or (terms,), how many exponentials share a coefficient: G_j is the sum of so many.

    Returns:
        (rows,). A sum of zeros only is 0, so its probability is 1.
    """
    counts = np.ones(lam.shape[-1]) if counts is None else counts
    counts = np.broadcast_to(counts, lam.shape)
    lam = np.where(counts > 0, lam, 0.0)
    lowest, highest = lam.min(axis=1, initial=0.0), lam.max(axis=1, initial=0.0)
    result = np.where(highest > 0, 0.0, 1.0)
    mixed = np.flatnonzero((lowest < 0) & (highest > 0))
    rows = max(1, _BLOCK // lam.shape[1]) if lam.shape[1] else 1
    for start in range(0, len(mixed), rows):
        block = mixed[start : start + rows]
        result[block] = _either_side(lam[block], counts[block])
    return result


def _either_side(lam: Floats, counts: Floats) -> Floats:
    """Return the probability of the sum's rarer sign, or 1 less it: where the sum is expected to lie is no tail."""
    expected_below = (counts * lam).sum(axis=1) < 0
    turned = np.where(expected_below[:, None], -lam, lam)
    with np.errstate(over="ignore"):
        scaled = np.minimum(turned / -turned.min(axis=1, keepdims=True), _LARGEST)
    rarer = _integral(scaled, counts)
    return np.where(expected_below, 1 - rarer, rarer)


def _integral(lam: Floats, counts: Floats) -> Floats:
    """Return the probability where the smallest coefficient of each row is -1 and the largest is positive."""
    saddle = _saddle(lam, counts)
    peak = -(counts * np.log1p(-saddle[:, None] * lam)).sum(axis=1)
    # M(s) bounds the probability from above at every s; so small a bound is the answer
    result: Floats = np.exp(peak)
    rows = np.flatnonzero(peak > -_NEGLIGIBLE)
    if len(rows):
        result[rows] = _along_the_line(lam[rows], counts[rows], saddle[rows], peak[rows])
    return result


def _along_the_line(lam: Floats, counts: Floats, saddle: Floats, peak: Floats) -> Floats:
    slopes = lam / (1 - saddle[:, None] * lam)
    width = 1 / np.sqrt((counts * slopes**2).sum(axis=1))
    scale = np.minimum(np.minimum(-saddle, 1 + saddle), 2 * width)
    line = _Line(saddle, slopes, counts, scale)
    end = _end(line, np.clip(_NEGLIGIBLE + peak, _NEGLIGIBLE / 3, _NEGLIGIBLE))
    nodes = int(np.ceil((end / _step(line, end)).max())) + 1
    step = end / (nodes - 1)
    total = np.zeros(len(lam))
    together = max(1, _AT_ONCE // lam.size)
    for start in range(0, nodes, together):
        places = np.arange(start, min(start + together, nodes))
        total += _of_nodes(line, peak, step, places)
    return np.clip(total / np.pi, 0.0, 1.0)


def _of_nodes(line: "_Line", peak: Floats, step: Floats, places: NDArray[np.intp]) -> Floats:
    """Return what some nodes, counted from the saddle, add to the integral of each row."""
    u = places * step[:, None]  # (rows, nodes), as all below
    height = line.scale[:, None] * np.sinh(u)
    turned = line.slopes[:, None, :] * height[:, :, None]
    modulus = -0.5 * np.einsum("rt,rnt->rn", line.counts, np.log1p(turned**2))
    angle = np.einsum("rt,rnt->rn", line.counts, np.arctan(turned))
    saddle = line.saddle[:, None]
    # the real part of M(s) / -s at s = saddle + i height
    real = (-saddle * np.cos(angle) - height * np.sin(angle)) / (saddle**2 + height**2)
    weight = np.where(places == 0, 0.5, 1.0)
    parts = weight * np.exp(peak[:, None] + modulus) * real * line.scale[:, None] * np.cosh(u) * step[:, None]
    total: Floats = parts.sum(axis=1)
    return total


@dataclass(frozen=True, eq=False)
class _Line:
    """The vertical lines through the saddles: s = saddle + i scale sinh(u).

    The factor j of M(s) is M(saddle)'s, divided by 1 - i slope_j scale sinh(u).
    """

    saddle: Floats
    slopes: Floats
    counts: Floats
    scale: Floats

    def fall(self, u: Floats) -> Floats:
        """Return by how much the integrand's logarithm has fallen from its top."""
        height = self.scale * np.sinh(u)
        modulus = 0.5 * (self.counts * np.log1p((self.slopes * height[:, None]) ** 2)).sum(axis=1)
        fallen: Floats = modulus + 0.5 * np.log1p((height / self.saddle) ** 2) - np.log(np.cosh(u))
        return fallen

    def speed(self, u: Floats) -> Floats:
        """Return by how many radians M(s) turns for each unit of ``u``."""
        turned = self.slopes * (self.scale * np.sinh(u))[:, None]
        turning: Floats = (self.counts * self.slopes / (1 + turned**2)).sum(axis=1)
        return np.abs(self.scale * np.cosh(u) * turning)


def _end(line: _Line, negligible: Floats) -> Floats:
    """Return the ``u`` from which the integrand is left out."""
    low, high = np.zeros(len(negligible)), np.full(len(negligible), 60.0)
    for _ in range(8):
        middle = (low + high) / 2
        short = line.fall(middle) < negligible
        low, high = np.where(short, middle, low), np.where(short, high, middle)
    return high


def _step(line: _Line, end: Floats) -> Floats:
    """Return a step between nodes over which the integrand neither bends nor turns too far.

    Where few large coefficients face many small ones of the other sign, the large ones stop damping early and the
    small ones turn the integrand fast from there on. The smaller it has become, the farther it may turn.
    """
    fastest = np.zeros(len(end))
    for share in np.linspace(0, 1, _TRIALS):
        u = share * end
        fastest = np.maximum(fastest, line.speed(u) / (1 + np.maximum(line.fall(u), 0) / _RELIEF))
    return np.minimum(_STEP, _TURN / np.maximum(fastest, _TURN))


def _saddle(lam: Floats, counts: Floats) -> Floats:
    """Return the point of (-1, 0) where log M(s) - log(-s), which is convex there, is smallest.

    By Newton's steps where they stay between the ends that are known, by halves elsewhere.
    """
    low, high = np.full(len(lam), -1.0), np.zeros(len(lam))
    place = (low + high) / 2
    for _ in range(_SEARCHES):
        slopes = lam / (1 - place[:, None] * lam)
        first = (counts * slopes).sum(axis=1) - 1 / place
        second = (counts * slopes**2).sum(axis=1) + 1 / place**2
        low, high = np.where(first < 0, place, low), np.where(first < 0, high, place)
        newton = place - first / second
        inside = (newton > low) & (newton < high)
        following = np.where(inside, newton, (low + high) / 2)
        if (np.abs(following - place) <= _CLOSE * np.minimum(-place, 1 + place)).all():
            return following
        place = following
    return place
