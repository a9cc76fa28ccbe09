"""Keep trackers that log every fit of a process by themselves out of the fits of a search.

With autologging on, mlflow would make a run of each fit, model included, or write one candidate's
parameters into the run that is open.
"""

import sys
from contextlib import AbstractContextManager, nullcontext


def unlogged() -> AbstractContextManager[None]:
    """A context without mlflow's autologging, where mlflow is imported.

    mlflow has one switch for the whole process, and whoever leaves this context turns it on again.
    So the search enters it around the race. Within, where the switch is off already, evaluations in
    other threads get a context that does nothing.
    """
    mlflow = sys.modules.get("mlflow.utils.autologging_utils")
    if mlflow is None or mlflow._AUTOLOGGING_GLOBALLY_DISABLED:
        return nullcontext()
    return mlflow.disable_autologging()
