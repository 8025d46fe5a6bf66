"""One self-contained page that says what a run was worth: `build` makes a dict of every figure, `render` its HTML.

The page is drawn from the dict and from nothing else, so its JSON twin holds every figure that is seen.
"""

from evenkeel.research.report.build import build
from evenkeel.research.report.collect import Collector
from evenkeel.research.report.compare import compare
from evenkeel.research.report.data import (
    Contributions,
    Costs,
    Forecast,
    Labels,
    ReportData,
    Traded,
)
from evenkeel.research.report.example import example
from evenkeel.research.report.page import render, write

__all__ = [
    "Collector", "Contributions", "Costs", "Forecast", "Labels", "ReportData", "Traded",
    "build", "compare", "example", "render", "write",
]  # fmt: skip
