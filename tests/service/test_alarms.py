"""APScheduler sleeps by the computer's clock; a clock that is set back must not put our alarms to sleep."""

from datetime import UTC, datetime, timedelta

import pytest
from apscheduler.schedulers.background import BackgroundScheduler
from apscheduler.triggers.interval import IntervalTrigger

from evenkeel.service.loop import catch_up

EVERY = {"commands": 1, "risk": 900, "trading": 1_800}


@pytest.fixture
def scheduler():
    made = BackgroundScheduler(timezone=UTC)
    made.start(paused=True)
    yield made
    made.shutdown(wait=False)


@pytest.mark.parametrize("back_s", [0, 4, 59, 3_600, 86_400 * 400])
def test_t3_no_alarm_lies_further_ahead_than_its_interval(scheduler, back_s):
    """Set back by whatever, each rings within its interval, on the same grid as before; a small step moves none."""
    now = datetime.now(UTC)
    for name, every in EVERY.items():
        first = now + timedelta(seconds=every)
        scheduler.add_job(print, IntervalTrigger(seconds=every, start_date=first), id=name)
    before = {job.id: job.next_run_time for job in scheduler.get_jobs()}
    seen = now.timestamp() - back_s
    catch_up(scheduler, seen)

    for job in scheduler.get_jobs():
        moved = (before[job.id] - job.next_run_time).total_seconds()
        assert moved % EVERY[job.id] == 0
        assert 0 <= job.next_run_time.timestamp() - seen <= EVERY[job.id] + 5.0
        assert moved == 0 or back_s > 5
