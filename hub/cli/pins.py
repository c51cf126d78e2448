"""`trunkline query pin`: a PIN with which somebody continues a query by telephone."""

from hub.cli.access import perform
from hub.cli.common import DEFAULT, WELL, Common
from hub.cli.output import as_json, say, visible
from hub.pins import shown


def pin(reference: str, *, common: Common = DEFAULT) -> int:
    """A PIN with which somebody continues a query by telephone: for a day, and the ones before it end.

    trunkline query pin TL-4F7K2Q
    """
    done = perform(common, "issue_pin", reference=reference)
    if common.json:
        as_json(done)
    else:
        say(visible(f"{done['reference']} continues by telephone with {shown(done['pin'])}, for a day."), style="green")
    return WELL
