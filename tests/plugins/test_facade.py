import re
from pathlib import Path

import plugins
from plugins import errors, fit, model, protocols

DOCS = (Path(__file__).parents[2] / "docs" / "contract.md").read_text()


def public(module):
    return {
        name
        for name, value in vars(module).items()
        if isinstance(value, type) and value.__module__ == module.__name__ and not name.startswith("_")
    }


def test_facade_exports_every_word_of_the_contract():
    assert public(model) | public(errors) | public(protocols) <= set(plugins.__all__)
    assert list(plugins.__all__) == sorted(
        plugins.__all__, key=lambda name: (not name.isupper(), name[0].islower(), name)
    )
    assert all(hasattr(plugins, name) for name in plugins.__all__)


def test_documentation_names_every_error_and_what_follows():
    rows = set(re.findall(r"^\| `(\w+)", DOCS.partition("## Errors")[2], re.MULTILINE))
    assert rows == public(errors) - {"TrunklineError", "Problem"}


def test_documentation_names_every_member_of_every_role():
    members = {name for protocol in (protocols.Connector, *fit.ROLES.values()) for name in fit._own(protocol)}
    assert members <= set(re.findall(r"`(\w+)`", DOCS))
