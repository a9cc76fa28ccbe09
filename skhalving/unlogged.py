"""Keep trackers that log every fit of a process by themselves out of the fits of a search.

With autologging on, mlflow would make a run of each fit, model included, or write one candidate's
parameters into the run that is open.
"""

import sys
from contextlib import AbstractContextManager, nullcontext


def unlogged() -> AbstractContextManager[None]:
    """A context in which mlflow logs nothing by itself, by mlflow's own switch.

    The switch is one for the whole process, and leaving mlflow's context turns logging on, whoever
    turned it off. So a search enters it around the whole race. Evaluations in its threads then find
    logging off already, and get a context that does nothing.
    """
    mlflow = sys.modules.get("mlflow.utils.autologging_utils")
    if mlflow is None or mlflow._AUTOLOGGING_GLOBALLY_DISABLED:
        return nullcontext()
    return mlflow.disable_autologging()
