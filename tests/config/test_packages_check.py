"""The five generic import names must be ours."""

import sys
from pathlib import Path

import pytest

from hub.packages_check import PACKAGES, foreign_packages

HOME = Path(__file__).resolve().parents[2]


def test_our_own_packages_are_accepted():
    assert foreign_packages() == []


def test_a_package_of_another_distribution_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    stranger = tmp_path / "plugins"
    stranger.mkdir()
    (stranger / "__init__.py").write_text("")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "plugins")
    (sentence,) = foreign_packages(["plugins"], HOME)
    assert str(stranger) in sentence
    assert str(HOME / "plugins") in sentence


def test_a_package_that_is_missing_is_named(tmp_path: Path):
    (sentence,) = foreign_packages(["no_such_package_here"], tmp_path)
    assert "nowhere" in sentence


def test_a_package_spread_over_two_places_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    for place in ("a", "b"):
        (tmp_path / place / "spread_package").mkdir(parents=True)
        monkeypatch.syspath_prepend(tmp_path / place)
    (sentence,) = foreign_packages(["spread_package"], tmp_path / "a")
    assert str(tmp_path / "b") in sentence


def test_all_five_names_are_checked():
    assert set(PACKAGES) == {"hub", "plugins", "connectors", "context_store", "routing"}
