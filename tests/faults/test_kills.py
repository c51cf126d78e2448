"""kill -9, and what is left afterwards: the quick tier of `python -m bench faults` (R1-R9)."""

import pytest

from bench.faults.nemesis import CONTROLS, Control, Times, all_points, control, crash_points, random_kills

pytestmark = pytest.mark.timeout(600)


async def test_kills_at_random_lose_double_and_misorder_nothing(place):
    verdict = await random_kills(place, 20, print, Times())
    assert verdict.good, (verdict.line(), verdict.problems)
    assert verdict.acked > 100


async def test_a_kill_at_each_crash_point_loses_nothing_and_each_is_met(place):
    """At the first visit; the long campaign has the second and third."""
    verdict, missed = await crash_points(place, all_points(), (1,), print)
    assert not missed
    assert verdict.good, (verdict.line(), verdict.problems)


async def test_a_kill_at_each_crash_point_loses_nothing_on_postgresql(place_on_postgresql):
    verdict, missed = await crash_points(place_on_postgresql, all_points(), (1,), print)
    assert not missed
    assert verdict.good, (verdict.line(), verdict.problems)


@pytest.mark.parametrize("one", CONTROLS, ids=lambda one: one.off)
async def test_without_its_protection_the_checker_is_red(place, one: Control):
    verdict = await control(place, one)
    assert getattr(verdict, one.red) > 0, verdict.line()
