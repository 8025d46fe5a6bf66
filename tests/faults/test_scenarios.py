"""Scenarios of the fault list (INDEX.md) whose subject is service, clock and account together, by their ids."""

import threading

from evenkeel.engine.slots import Cadence
from evenkeel.service.loop import Service


def test_t1_a_wake_up_that_comes_late_is_never_dropped():
    """APScheduler's own grace is 1 s; ours has no end, and many that were missed are one."""
    scheduler = Service(None, Cadence(), settle_s=0, now=lambda: 0.0, stop=threading.Event())._scheduler()
    scheduler.start(paused=True)
    job = scheduler.add_job(print)
    scheduler.shutdown()

    assert (job.misfire_grace_time, job.coalesce, job.max_instances) == (None, True, 1)
