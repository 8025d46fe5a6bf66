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
from evenkeel.research.report.journaled import Rows
from evenkeel.research.report.judgement import UNJUDGED
from evenkeel.research.report.page import render, write
from evenkeel.research.report.skill import Skill

__all__ = [
    "UNJUDGED", "Collector", "Contributions", "Costs", "Forecast", "Labels", "ReportData", "Rows", "Skill", "Traded",
    "build", "compare", "example", "render", "write",
]  # fmt: skip
