"""What comes in, checked once: arrays of numbers, of right/wrong, and of cluster labels."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from evalkit.stats._special import Floats, Ints
from evalkit.stats.unavailable import StatsUnavailable

Labels = Sequence[Hashable] | np.ndarray[Any, Any]
"""One cluster label a sample: strings, numbers, or whatever can be told apart."""

_LARGEST = 1e100


def check_confidence(confidence: float) -> None:
    """Refuses what is no two-sided coverage."""
    if not 0 < confidence < 1:
        raise ValueError(f"confidence must lie between 0 and 1, not {confidence}")


def numbers(values: ArrayLike, name: str = "values") -> Floats:
    """A one-dimensional array of at least one finite number."""
    try:
        array = np.asarray(values, dtype=np.float64)
    except (TypeError, ValueError):
        raise ValueError(f"{name}: numbers are needed") from None
    if array.ndim != 1:
        raise ValueError(f"{name}: one dimension is needed, not {array.ndim}")
    if not array.size:
        raise StatsUnavailable("there is no sample")
    missing = int(np.count_nonzero(~np.isfinite(array)))
    if missing:
        raise ValueError(f"{name}: {missing} of {array.size} values are not finite; leave those samples out first")
    if np.abs(array).max() > _LARGEST:
        raise ValueError(f"{name}: a value is larger than {_LARGEST:g}")
    return array


def binary(values: ArrayLike, name: str = "values") -> Floats:
    """A one-dimensional array of 0 and 1."""
    array = numbers(values, name)
    if not np.all((array == 0) | (array == 1)):
        raise ValueError(f"{name}: only 0 and 1 are allowed")
    return array


def counts(values: ArrayLike, name: str) -> Ints:
    """A one-dimensional array of whole numbers >= 0."""
    array = numbers(values, name)
    if not np.all((array >= 0) & (array == np.floor(array)) & (array < 2**53)):
        raise ValueError(f"{name}: whole numbers of at least 0 are needed")
    return array.astype(np.int64)


def same_length(**arrays: Iterable[Any] | np.ndarray[Any, Any]) -> None:
    """Refuses arrays that cannot belong to the same samples."""
    lengths = {name: len(array) for name, array in arrays.items()}  # type: ignore[arg-type]
    if len(set(lengths.values())) > 1:
        raise ValueError("lengths differ: " + ", ".join(f"{name} {length}" for name, length in lengths.items()))


def cluster_codes(labels: Labels, n: int) -> tuple[Ints, int]:
    """Labels as 0..G-1, and G."""
    if len(labels) != n:
        raise ValueError(f"lengths differ: values {n}, clusters {len(labels)}")
    if isinstance(labels, np.ndarray) and labels.dtype.kind in "iub" and labels.ndim == 1:
        if labels.dtype.kind == "i" and n and labels.min() >= 0 and labels.max() < 8 * n:
            # the same codes, without the sort
            there = np.bincount(labels) > 0
            return (np.cumsum(there) - 1)[labels].astype(np.int64), int(np.count_nonzero(there))
        found, codes = np.unique(labels, return_inverse=True)
        return codes.astype(np.int64), len(found)
    known: dict[Hashable, int] = {}
    codes = np.empty(n, dtype=np.int64)
    for i, label in enumerate(labels):
        try:
            # An empty text or NaN would otherwise tie together samples that have nothing in common.
            missing = label is None or label == "" or bool(label != label)
            codes[i] = known.setdefault(label, len(known))
        except TypeError:
            raise ValueError(f"clusters: sample {i} has a label that cannot be compared") from None
        if missing:
            raise ValueError(f"clusters: sample {i} has no label; a sample that stands alone needs one of its own")
    return codes, len(known)


def cluster_sums(values: Floats, labels: Labels) -> tuple[Floats, Floats]:
    """Sum of the values and number of samples, per cluster; both of shape (clusters,)."""
    codes, count = cluster_codes(labels, len(values))
    return sums(codes, values, count), np.bincount(codes, minlength=count).astype(np.float64)


def sums(codes: Ints, values: Floats, count: int) -> Floats:
    """Sum of the values per code 0..count-1."""
    return np.asarray(np.bincount(codes, weights=values, minlength=count), dtype=np.float64)
