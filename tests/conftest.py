"""Hypothesis tries the same on every machine, however slow it is."""

from hypothesis import HealthCheck, settings

settings.register_profile("laws", derandomize=True, deadline=None, suppress_health_check=list(HealthCheck))
settings.load_profile("laws")
