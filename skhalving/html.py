"""A search in a notebook: its brackets and best parameters, below scikit-learn's own diagram."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from html import escape
from typing import Any

import numpy as np

from skhalving.schedule import Schedule


def summary_html(schedule: Schedule, best_params: Mapping[str, Any] | None = None) -> str:
    """Tables without script and style, every text escaped."""
    levels, with_folds = schedule.levels, schedule.levels[-1].n_folds > 1
    amounts = ["resource", *(level.n_resources for level in levels)]
    folds = ["folds", *(level.n_folds for level in levels)]
    rows: list[list[Any]] = [folds] if with_folds else []
    for b, bracket in enumerate(schedule):
        empty = [""] * (len(levels) - len(bracket.rungs))
        rows.append([f"bracket {b}", *empty, *(rung.n_candidates for rung in bracket.rungs)])
    tables = _table("Candidates on each rung", amounts, rows)
    if best_params:
        best = [[name, readable(value)] for name, value in best_params.items()]
        tables += _table("Best parameters", ["parameter", "value"], best)
    return f"<div>{tables}</div>"


def _table(caption: str, head: Iterable[Any], rows: Iterable[Iterable[Any]]) -> str:
    def cells(tag: str, values: Iterable[Any]) -> str:
        return "<tr>" + "".join(f"<{tag}>{escape(str(v))}</{tag}>" for v in values) + "</tr>"

    body = "".join(cells("td", row) for row in rows)
    return (
        f"<table><caption>{escape(caption)}</caption>"
        f"<thead>{cells('th', head)}</thead><tbody>{body}</tbody></table>"
    )


def readable(value: Any) -> str:
    """As Python writes it, but ``np.float64(0.1)`` as ``0.1``, also within a dict or a list."""
    with np.printoptions(legacy="1.21"):
        return repr(value)
