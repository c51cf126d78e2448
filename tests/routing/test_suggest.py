from routing import Facts, decide, load_rules
from routing.classify import train
from routing.suggest import Judged, suggest
from tests.routing.make import DEFAULT

PRINTER = {"type": "incident", "service": "printing"}


def corrected(text, outcome=PRINTER):
    return Judged(facts=Facts(channel="email", body=text), outcome=outcome, corrected=frozenset(outcome))


def left(text, outcome=None):
    return Judged(facts=Facts(channel="email", body=text), outcome=outcome or {"type": "unknown"})


HISTORY = [
    corrected("the plotter is out of paper"),
    corrected("our plotter makes stripes"),
    corrected('please fix the "plotter" today\\'),
    left("the mail is slow today, please fix"),
    left("is the office open"),
]


def test_word_of_several_corrections_becomes_a_rule_with_examples():
    (suggestion,) = suggest(HISTORY)
    assert (suggestion.words, suggestion.corrections, suggestion.others) == (("plotter",), 3, 0)
    rules = load_rules(suggestion.rule + DEFAULT)
    assert decide(rules, Facts(body="A PLOTTER!")).outcome.service == "printing"


def test_word_that_other_messages_have_too_is_not_proposed():
    others = [left(f"plotter and {word}") for word in ("mail", "phone")]
    assert suggest(HISTORY + others) == []


def test_two_corrections_are_too_few():
    assert suggest(HISTORY[1:]) == []


def test_text_that_would_break_the_file_is_quoted():
    nasty = [corrected(f'plotter """ \x7f\u2028 \n[[rule]]\n{number} \\ \ud83d\udda8') for number in range(3)]
    assert load_rules(suggest(nasty)[0].rule + DEFAULT).rules


def test_classifier_guesses_what_was_learnt_and_says_why():
    classifier = train([(f"the plotter {n} is broken", "incident") for n in range(20)]
                       + [(f"may I have a chair {n}", "request") for n in range(20)] + [("odd", "rare")])  # fmt: skip
    guess = classifier.guess("broken plotter")
    assert guess.label == "incident"
    assert guess.confidence > 0.8
    assert "plotter" in guess.because
    assert classifier.labels == ("incident", "request"), "one example is too few"


def test_classifier_says_nothing_of_words_that_it_never_saw():
    classifier = train([("the plotter is broken", "incident")] * 5)
    assert classifier.guess("xyzzy") is None
    assert train([]).guess("plotter") is None
