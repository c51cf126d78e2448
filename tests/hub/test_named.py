"""What a rules file names must be there: templates and help articles too."""

from pathlib import Path

import pytest

from hub.config import load_config
from hub.rules import read_rules
from hub.texts import Said, Texts, filled
from plugins import BadConfig

END = """
[default]
set.type = "unknown"
set.impact = "person"
set.urgency = "low"
set.target = "querylog"
"""
RULE = '[[rule]]\nname = "vpn"\nwhen.channel = "email"\n'


def problems(tmp_path: Path, line: str) -> list[str]:
    (tmp_path / "plugins.toml").write_text('[instance.querylog]\nkind = "querylog"\n')
    (tmp_path / "rules.toml").write_text(f"{RULE}{line}\n{END}")
    config = load_config(tmp_path / "plugins.toml", {})
    try:
        read_rules(tmp_path / "rules.toml", config)
    except BadConfig as error:
        return [str(problem) for problem in error.problems]
    return []


def write(tmp_path: Path, **files: str) -> Texts:
    for name, text in files.items():
        path = tmp_path / name.replace("__", "/").replace("_", ".")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return Texts(tmp_path / "templates", tmp_path / "articles", "en")


@pytest.mark.parametrize(("key", "kind"), [("acknowledgement", "template"), ("article", "article")])
def test_text_that_is_not_there_is_named_with_those_that_are(tmp_path: Path, key: str, kind: str):
    write(tmp_path, templates__closed_md="x", articles__remote__reset_en_md="x")
    (found,) = problems(tmp_path, f'set.{key} = "lost"')
    there = {"template": "closed", "article": "reset"}[kind]
    assert found == f"rules.toml:4: rule vpn: set.{key}: there is no {kind} 'lost' (there are: {there})"
    assert problems(tmp_path, f'set.{key} = "{there}"') == []


@pytest.mark.parametrize(
    "line",
    ['set.park = "later"', "set.spam = true", 'set.hold = "who?"', 'when.recipients.any = ["a@b.test"]\nstop = true'],
)
def test_every_action_and_fact_is_delivered(tmp_path: Path, line: str):
    assert problems(tmp_path, line) == []


def test_text_is_picked_by_service_and_language(tmp_path: Path):
    texts = write(
        tmp_path,
        articles__vpn_en_md="# All\nall",
        articles__vpn_de_md="# Alle\nalle",
        articles__remote__vpn_fr_md="# R\nr",
    )
    assert [texts.article("vpn", "", language).title for language in ("de-AT", "en", "ja")] == ["Alle", "All", "All"]
    assert texts.article("vpn", "remote", "de").title == "R", "the service's own comes first"
    assert texts.article("vpn", "../..", "de").title == "Alle"
    assert texts.article("lost", "remote", "de") is None
    assert [(one.name, one.service) for one in texts.articles("remote", "de")] == [("vpn", "remote")]


def test_template_is_filled_once_and_other_braces_stay():
    said = filled(
        Said("Re {reference} {article}", "{desk} {x} {article}"), reference="TL-1", desk="{article}", article="A"
    )
    assert said == Said("Re TL-1", "{article} {x} A\n")


def test_folder_that_is_not_there_has_nothing(tmp_path: Path):
    texts = Texts(tmp_path / "templates", tmp_path / "articles", "en")
    assert (texts.template_names(), texts.article_names(), texts.articles("x")) == (frozenset(), frozenset(), [])
    assert texts.template("x", "en") is None
