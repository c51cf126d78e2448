"""Sessions and passwords (S19, S22)."""

import asyncio
from contextlib import contextmanager
from datetime import timedelta
from threading import Event

from hub.web import auth
from tests.web.sample import PASSWORD

NO_REDIRECT = {"allow_redirects": False}


async def log_in(client, login="agent", password=PASSWORD, **more):
    return await client.post("/console/login", data={"login": login, "password": password, **more}, **NO_REDIRECT)


async def test_the_right_password_opens_the_console(client):
    browser = await client()
    answer = await log_in(browser)
    assert answer.status == 303
    assert answer.headers["Location"] == "/console/queries"
    assert (await browser.get("/console/queries", **NO_REDIRECT)).status == 200


async def test_wrong_password_and_unknown_account_get_the_same_answer(client):
    browser = await client()
    wrong = await log_in(browser, "agent", "wrong password")
    unknown = await log_in(browser, "agenz", "wrong password")
    assert wrong.status == unknown.status == 401
    assert (await wrong.text()).replace('value="agent"', 'value="agenz"') == await unknown.text()


async def test_an_account_is_closed_for_a_while_after_too_many_tries_even_for_the_right_password(client, desk):
    browser = await client()
    for _ in range(auth.TRIES_ACCOUNT):
        assert (await log_in(browser, password="wrong password")).status == 401
    assert (await log_in(browser)).status == 429
    desk.clock.ahead += timedelta(minutes=16)
    assert (await log_in(browser)).status == 303


async def test_the_limit_of_an_account_is_the_same_for_one_that_does_not_exist(client):
    browser = await client()
    answers = [(await log_in(browser, "nobody", "wrong password")).status for _ in range(auth.TRIES_ACCOUNT + 1)]
    assert answers == [401] * auth.TRIES_ACCOUNT + [429]


async def test_the_session_cookie_is_http_only_strict_and_gone_with_the_browser(client):
    browser = await client()
    cookie = (await log_in(browser)).headers["Set-Cookie"]
    assert {"HttpOnly", "SameSite=Strict", "Path=/"} <= {part.strip() for part in cookie.split(";")}
    assert "Max-Age" not in cookie
    assert "expires" not in cookie.lower()


async def test_over_https_the_cookie_is_secure_and_bound_to_the_host(desk, client):
    import msgspec

    desk.config = msgspec.structs.replace(desk.config, public_url="https://desk.acme.test")
    cookie = (await log_in(await client())).headers["Set-Cookie"]
    assert cookie.startswith("__Host-trunkline=")
    assert "Secure" in cookie


async def test_login_gives_a_new_session_whatever_cookie_the_browser_brought(client):
    browser = await client("agent")
    before = browser.cookie_jar.filter_cookies(browser._base_url)["trunkline"].value
    answer = await log_in(browser)
    assert answer.cookies["trunkline"].value != before


async def test_logging_out_ends_the_session_on_the_server(client, desk):
    token = await desk.session("agent")
    browser = await client()
    cookie = {"Cookie": f"trunkline={token}"}
    assert (await browser.get("/console/queries", headers=cookie, **NO_REDIRECT)).status == 200
    await browser.post("/console/logout", headers=cookie, **NO_REDIRECT)
    assert (await browser.get("/console/queries", headers=cookie, **NO_REDIRECT)).status == 303


async def test_forms_that_cannot_be_read_are_400(client):
    browser = await client()
    for kind, body in (
        ("multipart/form-data", b"x"),
        ("multipart/form-data; boundary=b", b"--b\r\nbroken"),
        ("application/x-www-form-urlencoded; charset=nothing", b"login=x"),
        ("application/x-www-form-urlencoded", b"login=%ff%00&password=%00"),
    ):
        answer = await browser.post("/console/login", data=body, headers={"Content-Type": kind})
        assert answer.status in {400, 401}


async def test_an_idle_session_ends_and_self_refresh_does_not_keep_it_alive(client, desk):
    browser = await client("agent")
    for _ in range(3):
        desk.clock.ahead += timedelta(minutes=50)
        await browser.get("/console/queries", headers={"X-Refresh": "1"}, **NO_REDIRECT)
    assert (await browser.get("/console/queries", **NO_REDIRECT)).status == 303


async def test_a_session_in_use_ends_after_twelve_hours_all_the_same(client, desk):
    browser = await client("agent")
    statuses = []
    for _ in range(13):
        statuses.append((await browser.get("/console/queries", **NO_REDIRECT)).status)
        desk.clock.ahead += timedelta(minutes=58)
    assert statuses == [200] * 13
    assert (await browser.get("/console/queries", **NO_REDIRECT)).status == 303


async def test_switching_an_agent_off_ends_the_session_and_the_login(client, desk):
    from sqlalchemy import update

    from context_store import tables as t

    browser = await client("agent")
    await desk.store.write(lambda conn: conn.execute(update(t.agents).values(active=False)) and None)
    assert (await browser.get("/console/queries", **NO_REDIRECT)).status == 303
    assert (await log_in(browser)).status == 401


async def test_login_leads_back_into_the_console_only(client):
    for target, place in (
        ("/console/health", "/console/health"),
        ("//evil.test/console/", "/console/queries"),
        ("https://evil.test/console/x", "/console/queries"),
        ("/console/\\evil", "/console/queries"),
        ("/console/../../evil", "/console/queries"),
        ("/console/..", "/console/queries"),
        ("/console/x/%2e%2E/%252e./in", "/console/queries"),
        ("/console/queries?text=a..b/../c", "/console/queries?text=a..b/../c"),
        ("/in/portal/", "/console/queries"),
    ):
        answer = await log_in(await client(), next=target)
        assert answer.headers["Location"] == place


async def test_a_setup_link_sets_a_password_once(client, desk):
    link = await auth.setup_link(desk.store, "", desk.ids["viewer"])
    browser, other = await client(), await client()
    form = {"password": "a new long password", "again": "a new long password"}
    assert (await browser.get(link)).status == 200
    assert (await browser.post(link, data=form, **NO_REDIRECT)).status == 303
    assert (await browser.get("/console/queries", **NO_REDIRECT)).status == 200
    assert (await other.post(link, data=form, **NO_REDIRECT)).status == 404
    assert (await log_in(other, "viewer", "a new long password")).status == 303


async def test_a_setup_link_survives_a_password_that_is_too_short(client, desk):
    link = await auth.setup_link(desk.store, "", desk.ids["viewer"])
    browser = await client()
    assert (await browser.post(link, data={"password": "short", "again": "short"}, **NO_REDIRECT)).status == 400
    form = {"password": "a new long password", "again": "a new long password"}
    assert (await browser.post(link, data=form, **NO_REDIRECT)).status == 303


async def test_a_new_setup_link_and_time_end_the_old_one(client, desk):
    old = await auth.setup_link(desk.store, "", desk.ids["viewer"])
    new = await auth.setup_link(desk.store, "", desk.ids["viewer"])
    browser = await client()
    form = {"password": "a new long password", "again": "a new long password"}
    assert (await browser.post(old, data=form, **NO_REDIRECT)).status == 404
    desk.clock.ahead += timedelta(hours=25)
    assert (await browser.post(new, data=form, **NO_REDIRECT)).status == 404


async def test_the_first_administrator_gets_a_link_until_one_can_log_in(desk):
    from sqlalchemy import update

    from context_store import tables as t

    assert await auth.administrator_link(desk.store, "http://x") is None
    await desk.store.write(lambda conn: conn.execute(update(t.agents).values(password=None)) and None)
    link = await auth.administrator_link(desk.store, "http://x")
    assert link.startswith("http://x/console/setup/")
    await auth.set_up(desk, link.rsplit("/", 1)[1], "a new long password")
    assert await auth.administrator_link(desk.store, "http://x") is None


async def test_a_strangers_guesses_lock_out_no_browser_that_has_logged_in_before(client, desk):
    known, stranger = await client(), await client()
    assert (await log_in(known)).status == 303
    for _ in range(auth.TRIES_ADDRESS):
        await log_in(stranger, password="wrong password")
    assert (await log_in(stranger)).status == 429
    assert (await log_in(known)).status == 303


async def test_a_known_browser_guesses_no_more_often_than_a_stranger(client):
    known = await client()
    await log_in(known)
    answers = [(await log_in(known, password="wrong password")).status for _ in range(auth.TRIES_ACCOUNT + 1)]
    assert answers == [401] * auth.TRIES_ACCOUNT + [429]


async def test_a_browser_is_known_for_its_own_account_alone(client):
    known, stranger = await client(), await client()
    await log_in(known, "viewer")
    for _ in range(auth.TRIES_ACCOUNT):
        await log_in(stranger, "agent", "wrong password")
    assert (await log_in(known, "agent")).status == 429


async def test_a_new_password_forgets_the_browsers_that_knew_the_old_one(client, desk):
    known, stranger = await client(), await client()
    await log_in(known, "viewer")
    link = await auth.setup_link(desk.store, "", desk.ids["viewer"])
    form = {"password": "a new long password", "again": "a new long password"}
    await stranger.post(link, data=form, **NO_REDIRECT)
    for _ in range(auth.TRIES_ACCOUNT):
        await log_in(await client(), "viewer", "wrong password")
    assert (await log_in(known, "viewer", "a new long password")).status == 429
    assert (await log_in(stranger, "viewer", "a new long password")).status == 303


@contextmanager
def busy(pool, n):
    """All threads of a pool hash something long."""
    done = Event()
    for _ in range(n):
        pool.submit(done.wait)
    try:
        yield
    finally:
        done.set()


async def test_nothing_is_hashed_for_a_link_that_does_not_live(client, desk):
    link = await auth.setup_link(desk.store, "", desk.ids["viewer"])
    browser = await client()
    form = {"password": "a new long password", "again": "a new long password"}
    with busy(auth._known, 1):
        for _ in range(auth.TRIES_ADDRESS):
            assert (await browser.post("/console/setup/made-up", data=form)).status == 404
        assert (await browser.post("/console/setup/made-up", data=form)).status == 429
    desk.clock.ahead += timedelta(minutes=16)
    with busy(auth._known, 1):  # the control: for a living one somebody hashes
        living = asyncio.create_task(browser.post(link, data=form, **NO_REDIRECT))
        assert not (await asyncio.wait([living], timeout=0.3))[0]
    assert (await living).status == 303


async def test_a_link_that_is_used_up_shows_no_form(client, desk):
    link = await auth.setup_link(desk.store, "", desk.ids["viewer"])
    assert "<form" in await (await (await client()).get(link)).text()
    await auth.setup_link(desk.store, "", desk.ids["viewer"])
    answer = await (await client()).get(link)
    assert answer.status == 404
    text = await answer.text()
    assert "Ask an administrator for a new one" in text
    assert "<form" not in text


async def test_more_strangers_than_the_threads_can_serve_are_told_to_wait_and_hold_up_no_known_browser(client):
    known, strangers = await client(), await client()
    await log_in(known)
    with busy(auth._strangers, 2):
        waiting = [asyncio.create_task(log_in(strangers, f"agent{n}")) for n in range(auth.LINE)]
        assert not (await asyncio.wait(waiting, timeout=0.5))[0]
        assert (await log_in(strangers)).status == 429
        assert (await log_in(known)).status == 303
    assert {answer.status for answer in await asyncio.gather(*waiting)} == {401}
