"""Until 2xx: verify, journal, answer; against the floor and the echo at 64 connections.

The hub runs its web server and its intake, nothing that comes after the acknowledgement.
"""

from collections.abc import Iterator

from bench.spine.measure import Figure, Run, Server, full_tilt, installed, median, served, spread, supply

SECONDS = 1.0
FASTEST = 30_000
"""Requests a second that no server here reaches."""


def figures(run: Run) -> Iterator[Figure]:
    hub_file, floor_file = installed(run.folder / "webhook"), run.folder / "floor.db"
    with served("echo") as echo, served("floor", str(floor_file)) as floor, served("hub", str(hub_file)) as hub:
        servers = {"echo": echo, "floor": floor, "hub": hub}
        window = SECONDS / 2 if run.quick else SECONDS
        _triple(servers, window)  # warms up
        cpus: dict[str, list[float]] = {name: [] for name in servers}
        rates: dict[str, list[float]] = {name: [] for name in servers}
        for n in range(run.triples):
            found = _triple(servers, window, turn=n)
            for name, (cpu, rate) in found.items():
                cpus[name].append(cpu)
                rates[name].append(rate)
            run.say(f"webhook {n + 1}/{run.triples}: " + _line(found))
    ratio = [hub_us / floor_us for hub_us, floor_us in zip(cpus["hub"], cpus["floor"], strict=True)]
    beside = {f"{name}_us": round(median(values), 1) for name, values in cpus.items()}
    yield Figure("webhook_cpu_vs_floor", median(ratio), {**beside, "range": spread(ratio)})
    ratio = [hub_rate / floor_rate for hub_rate, floor_rate in zip(rates["hub"], rates["floor"], strict=True)]
    beside = {f"{name}_rate": round(median(values)) for name, values in rates.items()}
    yield Figure("webhook_rate_vs_floor", median(ratio), {**beside, "range": spread(ratio)})


def _triple(servers: dict[str, Server], seconds: float, turn: int = 0) -> dict[str, tuple[float, float]]:
    """Another one goes first each time."""
    names = list(servers)
    names = names[turn % 3 :] + names[: turn % 3]
    made = {name: supply(FASTEST, seconds) for name in names}  # beforehand: they stand side by side
    return {name: full_tilt(servers[name], made[name], seconds) for name in names}


def _line(found: dict[str, tuple[float, float]]) -> str:
    return ", ".join(f"{name} {cpu:.0f} us {rate:.0f}/s" for name, (cpu, rate) in found.items())
