"""Makes `world` and `planted` of the laws importable, and Hypothesis the same on every machine."""

import sys
from pathlib import Path

from hypothesis import HealthCheck, settings

sys.path.insert(0, str(Path(__file__).parents[1] / "laws"))
settings.register_profile("laws", derandomize=True, deadline=None, suppress_health_check=list(HealthCheck))
settings.load_profile("laws")
