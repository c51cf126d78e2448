"""Help articles are found by their words."""

import pytest

from hub.helping import Shelf
from hub.texts import Texts

ARTICLES = {
    "vpn.en.md": "# Connect to the VPN\n\nStart AnyConnect.",
    "vpn.de.md": "# Mit dem VPN verbinden\n\nAnyConnect starten.",
    "printing/jam.en.md": "# Clear a paper jam\n\nOpen the printer.",
    "printing/toner.en.md": "# Change the toner\n\nThe printer shows which one.",
    "room.en.md": "# Book a room\n\nRooms with a printer are marked.",
    "jp.ja.md": "# プリンターの紙詰まり\n\n紙を取り除く。",
}


@pytest.fixture
def shelf(tmp_path):
    for name, text in ARTICLES.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    return Shelf(Texts(tmp_path / "none", tmp_path, "en"))


def titles(shelf, words, language="en"):
    return [one.title for one in shelf.find(words, language)]


def test_rare_words_and_titles_come_first(shelf):
    assert titles(shelf, "the paper is stuck in the printer")[0] == "Clear a paper jam"
    assert titles(shelf, "where do I book rooms")[0] == "Book a room"


def test_a_word_that_is_not_typed_to_its_end_is_enough(shelf):
    assert titles(shelf, "anyco") == ["Connect to the VPN"]


def test_the_readers_language_comes_first_and_others_stand_in(shelf):
    assert titles(shelf, "vpn", "de") == ["Mit dem VPN verbinden"]
    assert titles(shelf, "toner", "de") == ["Change the toner"]
    assert titles(shelf, "紙詰まり", "ja") == ["プリンターの紙詰まり"]


def test_without_words_all_are_there_and_strange_words_find_none(shelf):
    assert len(titles(shelf, "")) == 5
    assert titles(shelf, "zzz qqq \0 ' OR 1=1") == []


def test_an_article_is_asked_for_by_name_and_never_by_path(shelf):
    assert shelf.named("jam", "en").service == "printing"
    assert shelf.named("../none", "en") is None


def test_a_missing_folder_is_an_empty_shelf(tmp_path):
    shelf = Shelf(Texts(tmp_path, tmp_path / "no", "en"))
    assert (shelf.find("vpn", "en"), shelf.find("", "en")) == ([], [])
