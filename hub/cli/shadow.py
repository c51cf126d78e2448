"""`trunkline rules shadow`: the second file and the classifier, held against what was decided in earnest."""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import Annotated

import msgspec
from cyclopts import Parameter
from msgspec import Struct

from context_store import decided
from context_store.opinions import Offer, newest_model
from hub import replay
from hub.cli.access import reading
from hub.cli.backtest import Since, moment, show
from hub.cli.common import DEFAULT, WELL, Common
from hub.cli.output import as_json, err, say, table, visible
from routing import backtest as routed
from routing.suggest import Judged

EDGES = (0.9, 0.7, 0.5, 0.0)
"""Confidence from which a row counts."""


class Weighed(Struct, kw_only=True):
    """The classifier's offers of one field and one range of confidence."""

    field: str
    least: float
    offers: int = 0
    right: int = 0
    """As the query stands now: by an agent's word, or as the rules had it and nobody objected."""
    confidence: float = 0.0
    """Summed; its mean should be the share that is right."""


def shadow(
    *,
    since: Since = "30d",
    samples: Annotated[int, Parameter(help="Messages to read, for each kind of change.")] = 5,
    common: Common = DEFAULT,
) -> int:
    """What ran beside the rules without effect would have decided.

    trunkline rules shadow
    trunkline rules shadow --since 7d --json

    Set `shadow` (a second file of rules) or `classifier` in [hub.triage] of plugins.toml; both are judged from then on.
    """
    after, report = decided.before(moment(since)), routed.Report()
    with reading(common) as conn, err.status("Reading what was judged in the shadow"):
        model = newest_model(conn, "shadow")
        for past, other in replay.shadowed(conn, after, model) if model else ():
            routed.count(report, past, other, most=max(0, samples))
        weighed = weigh(replay.offered(conn, after))
    if common.json:
        as_json({"shadow": model, "report": msgspec.structs.asdict(report), "classifier": weighed})
        return WELL
    if model:
        say(visible(f"The shadow rules {model[:12]}, beside what was decided:"), style="bold")
        show(report, since)
    else:
        say("No second file has judged anything: set `shadow` in [hub.triage].")
    if weighed:
        rows = ((one.field, f"from {one.least:.0%}", one.offers, f"{one.right / one.offers:.0%}",
                 f"{one.confidence / one.offers:.0%}") for one in weighed)  # fmt: skip
        table(("field", "confidence", "offers", "right", "was sure to"), rows, title="The classifier's offers")
    return WELL


def weigh(offered: Iterable[tuple[Mapping[str, Offer], Judged]]) -> list[Weighed]:
    """Offers by field and confidence, with how often they were right; the surest first."""
    found: dict[tuple[str, float], Weighed] = defaultdict(_empty)
    for offers, one in offered:
        for field, offer in offers.items():
            least = next(edge for edge in EDGES if offer.confidence >= edge)
            row = found[field, least]
            row.field, row.least = field, least
            row.offers += 1
            row.right += one.outcome.get(field) == offer.label
            row.confidence += offer.confidence
    return [found[key] for key in sorted(found, key=lambda key: (key[0], -key[1]))]


def _empty() -> Weighed:
    return Weighed(field="", least=0.0)
