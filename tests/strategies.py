"""Hypothesis strategies, in one place."""

from hypothesis import strategies as st

from skhalving.schedule import fold_steps, ladder

factors = st.integers(2, 6)


@st.composite
def ladders(draw):
    """(max_resources, min_resources, factor) of a ladder of at most a handful of levels."""
    factor = draw(factors)
    least = draw(st.integers(1, 50))
    most = draw(st.integers(least, least * factor**5))
    return most, least, factor


@st.composite
def climbs(draw):
    """(levels, factor) of any search: one level or many, 1 to 50 folds, last or from the start."""
    factor = draw(st.integers(2, 10))
    least = draw(st.integers(1, 50))
    most = draw(st.integers(least, least * factor ** draw(st.integers(0, 8))))
    n_splits = draw(st.integers(1, 50))
    folds = draw(st.sampled_from([fold_steps(n_splits, factor), [n_splits]]))
    return ladder(most, least, factor, folds), factor


# Few values, so that ties are common, and what scorers are known to return.
scores = st.sampled_from([float("nan"), float("inf"), float("-inf"), 0.0, -0.0, 0.25, 0.5, 1.0])
