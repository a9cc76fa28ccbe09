"""The two nouns that all modules share: one evaluation, and what it returned.

A ``Task`` is made by the loop, travels to a worker, and comes back as an ``Outcome``; both are
values that nobody changes.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple


class Task(NamedTuple):
    """One evaluation: a candidate, on one fold, with one amount of the resource."""

    candidate: int
    fold: int
    amount: int


@dataclass(frozen=True)
class Outcome:
    """What an evaluation returned.

    Attributes
    ----------
    scores : mapping of str to float
        The score on the fold's test rows under each metric's name, ``"score"`` if there is one
        metric; empty if the evaluation failed.

    fit_time, score_time : float
        Seconds.

    train_scores : mapping of str to float, or None
        The scores on the training rows, if ``return_train_score`` asked for them.

    error : str or None
        Why the evaluation failed: a traceback, or a sentence.

    ended : bool
        Whether the evaluation ran over its time limit or its worker died. It may succeed when run
        again, so a resumed search tries it again.

    continued : bool
        Whether training went on from the model of a lower level.

    n_iter : float or None
        The trees or epochs that the model predicts with; None if it has no such attribute.

    stopped : bool
        Whether the fit stopped early, so that it would be the same with more of the resource.

    n_fitted, n_shared : int
        Numbers of transformers that were fitted, and that were taken from an earlier evaluation.

    fault : str or None
        Why a model or an output could not be written for other evaluations. The journal does not
        have it.
    """

    scores: Mapping[str, float]
    fit_time: float = 0.0
    score_time: float = 0.0
    train_scores: Mapping[str, float] | None = None
    error: str | None = None
    ended: bool = False
    continued: bool = False
    n_iter: float | None = None
    stopped: bool = False
    n_fitted: int = 0
    n_shared: int = 0
    fault: str | None = None

    @property
    def seconds(self) -> float:
        """Seconds of fitting and scoring together."""
        return self.fit_time + self.score_time
