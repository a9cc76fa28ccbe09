"""Keep trackers that log every fit of a process by themselves out of the fits of a search.

With autologging on, mlflow would make a run of each fit, model included, or write one candidate's
parameters into the run that is open.
"""

import sys
from contextlib import AbstractContextManager, nullcontext


def unlogged() -> AbstractContextManager[None]:
    """mlflow's own switch, where mlflow is imported and is not switched off already.

    The switch is one for the whole process, and leaving it turns it on whoever turned it off; so
    the search holds it around the race, and what its threads ask for within is nothing.
    """
    mlflow = sys.modules.get("mlflow.utils.autologging_utils")
    if mlflow is None or mlflow._AUTOLOGGING_GLOBALLY_DISABLED:
        return nullcontext()
    return mlflow.disable_autologging()
