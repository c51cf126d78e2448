"""`trunkline user set`: what rules and services may ask about a user."""

from typing import Annotated

from cyclopts import Parameter

from hub.cli.access import perform, reading
from hub.cli.common import DEFAULT, WELL, CommandError, Common
from hub.cli.output import as_json, say
from hub.cli.users import user_of


def set_(
    who: Annotated[str, Parameter(help="A user's id, or an address: ann@acme.test, tel:+1555….")],
    *,
    organisation: Annotated[str | None, Parameter(help='Short name of an organisation; "" for none.')] = None,
    groups: Annotated[str | None, Parameter(help="Names between commas.")] = None,
    region: str | None = None,
    contract: str | None = None,
    language: Annotated[str | None, Parameter(help="BCP 47: en, pt-BR.")] = None,
    vip: bool | None = None,
    field: Annotated[tuple[str, ...], Parameter(help="NAME=VALUE, for `user.fields.NAME`; may be given again.")] = (),
    common: Common = DEFAULT,
) -> int:
    """Set what the directory says of a user.

    trunkline user set ann@acme.test --organisation acme --groups board,staff --vip
    """
    given = {"organisation": organisation, "groups": groups, "region": region, "contract": contract,
             "language": language, "vip": vip}  # fmt: skip
    changes: dict[str, object] = {name: value for name, value in given.items() if value is not None}
    for pair in field:
        name, mark, value = pair.partition("=")
        if not mark or not name:
            raise CommandError(f"--field {pair}: expected NAME=VALUE")
        changes[name] = value
    with reading(common) as conn:
        user = user_of(conn, who)
    done = perform(common, "set_user", user=str(user), changes=changes)
    if common.json:
        as_json(done)
    else:
        say("Set.", style="green")
    return WELL
