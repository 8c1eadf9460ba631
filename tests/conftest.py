"""What the tests of pictures share."""

import warnings
from collections.abc import Iterator

import matplotlib
import matplotlib.pyplot as plt
import pytest
import torch

from utils.diagrams import primitives
from utils.plots import use_course_style


@pytest.fixture
def course_page() -> Iterator[None]:
    """Draw in the course style, each test alone: warnings are errors, numbers are the same.

    What a test has drawn is closed, and the settings of matplotlib are as before.
    """
    with matplotlib.rc_context(), warnings.catch_warnings():
        warnings.filterwarnings("error", category=UserWarning)
        plt.switch_backend("agg")
        use_course_style()
        primitives.letters.cache_clear()
        torch.manual_seed(0)
        yield
        plt.close("all")
