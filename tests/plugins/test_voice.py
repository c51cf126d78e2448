"""The telephone menu as a model: what can be walked, and what is told of a menu that can't."""

from datetime import UTC, date, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plugins.voice import End, Heard, Hours, Listen, Menu, Move, Node, Option, problems

MONDAY = datetime(2026, 11, 23, 9, tzinfo=UTC)
BYE = Node(do="hangup", say="Bye")


def wrong(start: str = "a", hours: dict[str, Hours] | None = None, **nodes: Node) -> list[tuple[str, str]]:
    return problems(start, nodes, ("en",), hours or {})


def choose(*targets: str, otherwise: str = "bye", **more: object) -> Node:
    options = tuple(Option(key=str(number), to=target) for number, target in enumerate(targets, 1))
    return Node(do="choose", say="?", options=options, otherwise=otherwise, **more)


def test_menu_that_can_be_walked_has_no_problems():
    assert wrong(a=choose("bye"), bye=BYE) == []


def test_target_that_is_missing_is_named_with_its_place():
    assert wrong(a=choose("bye", "gone"), bye=BYE) == [("menu.a.options[1].to", "there is no node gone")]


def test_node_that_nobody_reaches_is_named():
    assert wrong(a=choose("bye"), bye=BYE, lost=Node(do="record", next="bye")) == [
        ("menu.lost", "nobody gets here from a")
    ]


def test_loop_without_a_way_out_is_named():
    found = wrong(a=choose("b", otherwise="b"), b=choose("a", otherwise="a"), bye=BYE)
    assert [(key, "hangup" in what) for key, what in found if "hangup" in what] == [("menu.a", True), ("menu.b", True)]


def test_loop_that_waits_for_nobody_is_named():
    turning = {"do": "say", "say": "x"}
    found = wrong(a=choose("b"), b=Node(**turning, next="c"), c=Node(**turning, next="b"), bye=BYE)
    assert {key for key, what in found if "without waiting" in what} == {"menu.b", "menu.c"}


@pytest.mark.parametrize(
    ("node", "key"),
    [
        (Node(do="choose", say="?", otherwise="bye"), "menu.a.options"),
        (Node(do="choose", say="?", options=(Option(to="bye"),), otherwise="bye"), "menu.a.options[0]"),
        (Node(do="say", next="bye"), "menu.a.say"),
        (Node(do="hours", next="bye", otherwise="bye", calendar="desk"), "menu.a.calendar"),
        (Node(do="dial", next="bye", otherwise="bye", number="0800"), "menu.a.number"),
        (Node(do="record", next="bye", number="+15550003333"), "menu.a.number"),
        (Node(do="hangup", next="bye"), "menu.a.next"),
        (Node(do="say", say={"de": "x"}, next="bye"), "menu.a.say"),
    ],
)
def test_what_a_node_lacks_or_can_not_have_is_named(node, key):
    assert key in [found for found, _ in wrong(a=node, bye=BYE)]


def test_two_ways_of_one_key_are_named():
    options = (Option(key="1", to="bye"), Option(key="1", to="bye"))
    found = wrong(a=Node(do="choose", say="?", options=options, otherwise="bye"), bye=BYE)
    assert found == [("menu.a.options[1]", "1 leads elsewhere already")]


@pytest.mark.parametrize(
    ("at", "is_open"),
    [
        (MONDAY, True),
        (MONDAY.replace(hour=6), False),
        (MONDAY.replace(hour=7), True),  # eight in Berlin
        (MONDAY.replace(hour=16), False),  # seventeen: it ends there
        (MONDAY.replace(day=24), False),
        (MONDAY.replace(day=30), False),
        (MONDAY.replace(month=6, day=22, hour=6), True),  # summer time
    ],
)
def test_hours_are_those_of_their_zone(at, is_open):
    hours = Hours(zone="Europe/Berlin", mon=("08:00-17:00",), closed=(date(2026, 11, 30),))
    assert hours.open_at(at) is is_open


def test_day_may_end_at_midnight():
    hours = Hours(zone="UTC", mon=("20:00-24:00",))
    assert hours.open_at(MONDAY.replace(hour=23, minute=59))
    assert wrong(a=BYE, hours={"x": Hours(zone="UTC", mon=("24:00-24:00", "17:00-08:00", "8-9"))}) != []


nodes = st.sampled_from("abcd")
menus = st.fixed_dictionaries({
    name: st.one_of(
        st.builds(lambda one, two, other: choose(one, two, otherwise=other), nodes, nodes, nodes),
        st.builds(lambda to: Node(do="say", say="x", next=to), nodes),
        st.just(BYE),
    )
    for name in "abcd"
})  # fmt: skip


@given(menus, st.lists(st.sampled_from(["1", "2", "9", ""]), max_size=30))
def test_every_menu_without_problems_can_be_walked_to_its_end(menu, keys):
    if problems("a", menu, ("en",), {}):
        return
    made = Menu("a", menu, ("en",), {})
    turn = made.turn("a", "en", MONDAY)
    tries = 0
    for key in keys:
        if isinstance(turn.last, End):
            return
        assert isinstance(turn.last, Listen)
        move: Move = made.heard(turn.node, "en", tries, Heard(digits=key))
        tries = tries + 1 if move.again else 0
        assert tries < 3
        turn = made.turn(move.to, move.language, MONDAY)
