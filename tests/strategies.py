"""Hypothesis strategies, in one place."""

from hypothesis import strategies as st

factors = st.integers(2, 6)


@st.composite
def ladders(draw):
    """(max_resources, min_resources, factor) of a ladder of at most a handful of levels."""
    factor = draw(factors)
    least = draw(st.integers(1, 50))
    most = draw(st.integers(least, least * factor**5))
    return most, least, factor


# Few values, so that ties are common, and what scorers are known to return.
scores = st.sampled_from([float("nan"), float("inf"), float("-inf"), 0.0, -0.0, 0.25, 0.5, 1.0])
