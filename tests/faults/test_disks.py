"""Power cuts and full disks under SQLite: the quick tier (R1, R2, R9)."""

import pytest

from bench.faults.disk import full_disk, power_cuts
from bench.faults.place import Place

pytestmark = pytest.mark.timeout(300)


async def test_a_power_cut_takes_nothing_that_was_acknowledged(place: Place):
    verdict = await power_cuts(place, 3)
    assert verdict.good, (verdict.line(), verdict.problems)
    assert verdict.acked > 20


async def test_with_synchronous_normal_a_power_cut_takes_what_was_acknowledged(place: Place):
    verdict = await power_cuts(place, 2, off="sync")
    assert verdict.lost > 0, verdict.line()


async def test_a_full_disk_loses_nothing_and_heals_with_the_room(place: Place):
    verdict = await full_disk(place, 2)
    assert verdict.good, (verdict.line(), verdict.problems)
    assert verdict.acked > 20
