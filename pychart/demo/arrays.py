"""Array types and the few numpy helpers that the generator's modules share."""

import numpy as np
import numpy.typing as npt

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]


class Roulette:
    """Draws a column from a row of a table of weights; a row of zeros draws its last column."""

    def __init__(self, weights: Floats) -> None:
        """Take weights of shape (rows, columns), not negative."""
        self.columns = weights.shape[1]
        totals = weights.sum(axis=1, keepdims=True)
        shares = np.cumsum(weights / np.where(totals > 0, totals, 1.0), axis=1)
        # rows lie end to end on one axis, so that a single search serves all of them
        self._edges = (np.minimum(shares, 1.0) + np.arange(len(weights))[:, None]).ravel()

    def spin(self, rows: Ints, luck: Floats) -> Ints:
        """Column drawn for each row number, from `luck` in [0, 1)."""
        found = np.searchsorted(self._edges, rows + luck * (1 - 1e-9), side="right")
        column: Ints = np.minimum(found - rows * self.columns, self.columns - 1)
        return column


def lognormal(
    rng: np.random.Generator, median: Floats | float, sigma: Floats | float, count: int
) -> Floats:
    """`count` lognormal values with the given median and the given spread of the logarithm."""
    drawn: Floats = median * np.exp(sigma * rng.standard_normal(count))
    return drawn


def running_total_before(values: Ints, firsts: Ints, repeats: Ints) -> Ints:
    """Sum of the earlier values of the same run, which has `repeats` elements from `firsts` on."""
    before = np.cumsum(values) - values
    return before - np.repeat(before[firsts], repeats)
