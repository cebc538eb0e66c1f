"""Means over seeds with intervals, and paired t-tests, by Student's t distribution."""

import math
import statistics


def beta_fraction(a, b, x):
    """The continued fraction of the incomplete beta function, by Lentz's method."""
    tiny = 1e-300
    c, d = 1.0, 1.0 / max(1.0 - (a + b) * x / (a + 1.0), tiny)
    value = d
    for m in range(1, 300):
        even = m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m))
        odd = -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1))
        for term in (even, odd):
            d = 1.0 / (1.0 + term * d or tiny)
            c = 1.0 + term / c or tiny
            value *= c * d
        if abs(c * d - 1.0) < 1e-14:
            break
    return value


def two_sided(t, freedom):
    """The chance of a t at least this far from 0: the regularised incomplete beta
    function I_x(freedom / 2, 1 / 2) with x = freedom / (freedom + t^2)."""
    x = freedom / (freedom + t * t)
    a, b = freedom / 2.0, 0.5
    if x >= 1.0:
        return 1.0
    front = math.exp(
        math.lgamma(a + b) - math.lgamma(a) - math.lgamma(b) + a * math.log(x) + b * math.log1p(-x)
    )
    if x < (a + 1.0) / (a + b + 2.0):
        return front * beta_fraction(a, b, x) / a
    return 1.0 - front * beta_fraction(b, a, 1.0 - x) / b


def quantile(freedom, outside=0.05):
    """The t that is exceeded on either side with the chance `outside` together."""
    low, high = 0.0, 1e6
    for _ in range(200):
        middle = (low + high) / 2.0
        low, high = (middle, high) if two_sided(middle, freedom) > outside else (low, middle)
    return low


def mean_and_half_width(values):
    """Mean, and half of its 95 % interval; None for that where there is one value."""
    if len(values) < 2:
        return values[0], None
    error = statistics.stdev(values) / math.sqrt(len(values))
    return statistics.fmean(values), quantile(len(values) - 1) * error


def p_value(differences):
    """Of the paired t-test that the mean difference is 0; None for fewer than two seeds."""
    if len(differences) < 2:
        return None
    mean, deviation = statistics.fmean(differences), statistics.stdev(differences)
    if deviation == 0.0:
        return 1.0 if mean == 0.0 else 0.0
    return two_sided(mean / (deviation / math.sqrt(len(differences))), len(differences) - 1)


def holm(p_values):
    """Adjusted such that all claims at 0.05 together are wrong with a chance of 0.05."""
    order = sorted(range(len(p_values)), key=lambda index: p_values[index])
    adjusted, highest = [0.0] * len(p_values), 0.0
    for rank, index in enumerate(order):
        highest = max(highest, min(1.0, (len(p_values) - rank) * p_values[index]))
        adjusted[index] = highest
    return adjusted
