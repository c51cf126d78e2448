import pytest

from routing.language import detect, settle

CONFIGURED = ("en", "de", "fr", "pt-BR", "ja")


@pytest.mark.parametrize(
    ("text", "language"),
    [
        ("The printer on the third floor does not work any more", "en"),
        ("Der Drucker im dritten Stock geht nicht mehr, bitte helfen", "de"),
        ("L'imprimante du troisième étage ne marche plus", "fr"),
        ("A impressora do terceiro andar não funciona mais", "pt-BR"),
        ("三階のプリンターが動きません。助けてください。", "ja"),
        ("THE PRINTER ON THE THIRD FLOOR DOES NOT WORK", "en"),
        ("Der Drucker\r\n\0im dritten Stock\ud800 geht nicht mehr", "de"),
    ],
)
def test_language_of_a_sentence(text, language):
    assert detect(text, CONFIGURED) == language


@pytest.mark.parametrize("text", ["", "12345 67890 12345", "ok", "Passwort", "VPN down"])
def test_known_language_wins_where_there_is_little_to_go_by(text):
    assert detect(text, CONFIGURED) == ""
    assert settle(detect(text, CONFIGURED), "de") == "de"


def test_strong_guess_wins_over_the_known_language():
    assert settle(detect("The printer on the third floor does not work any more", CONFIGURED), "de") == "en"


def test_language_that_is_not_configured_is_not_given():
    assert detect("Принтер на третьем этаже больше не работает", CONFIGURED) == ""


def test_known_region_is_kept():
    assert settle(detect("The printer on the third floor does not work any more", CONFIGURED), "en-GB") == "en-GB"
