"""What all tests need: no window for a plot, one thread a process, and fakes that forget."""

import os

os.environ.setdefault("MPLBACKEND", "Agg")
for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(name, "1")

import pytest  # noqa: E402
import sklearn  # noqa: E402
from helpers import Remember, RememberTransformer  # noqa: E402
from hypothesis import settings  # noqa: E402

settings.register_profile("any machine", deadline=None)
settings.load_profile("any machine")


@pytest.fixture(autouse=True)
def forget():
    """No test sees the fits of another."""
    for memory in (Remember.fits, Remember.scored, RememberTransformer.kinds):
        memory.clear()


@pytest.fixture
def routing():
    """Metadata routing on."""
    with sklearn.config_context(enable_metadata_routing=True):
        yield
