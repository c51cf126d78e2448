"""Every route: headers, roles, origins (S23, S27, S29, S33)."""

import pytest

from context_store.agents import ROLES
from hub.web.guard import allowed
from hub.web.server import CONSOLE, make_app

PLACES = {
    "reference": lambda ids: ids["vpn"]["reference"],
    "user": lambda ids: ids["ann"]["user"],
    "message": lambda ids: ids["first"],
    "n": lambda _: 0,
    "envelope": lambda ids: ids["parked"],
    "outbox": lambda ids: ids["caught"],
    "decision": lambda ids: ids["decision"],
    "token": lambda _: "made-up",
}


def path_of(route, ids):
    return route.path.format_map({name: value(ids) for name, value in PLACES.items()})


def test_every_console_route_of_the_server_names_its_role(desk):
    app = make_app(desk, desk.operations)
    served = {
        (route.method, route.resource.canonical)
        for route in app.router.routes()
        if route.resource.canonical.startswith("/console") and route.method != "HEAD"
    }
    assert served == {(route.method, route.path) for route in CONSOLE}


def test_only_login_and_setup_are_public():
    public = {route.path for route in CONSOLE if route.needs == "public"}
    assert public == {"/console", "/console/", "/console/login", "/console/setup/{token}"}


def test_no_route_that_changes_something_is_open_to_viewers():
    assert {route.path for route in CONSOLE if route.method == "POST" and route.needs == "viewer"} == {
        "/console/logout"
    }


@pytest.mark.parametrize("role", ["", *ROLES])
async def test_each_role_reaches_its_routes_and_no_others(role, desk, client):
    wrong = []
    for route in CONSOLE:
        if route.needs == "public" or route.path == "/console/logout":
            continue
        browser = await client(role)
        data = {"id": str(desk.ids["parked"]), "text": "x"} if route.method == "POST" else None
        answer = await browser.request(route.method, path_of(route, desk.ids), data=data, allow_redirects=False)
        if not role:
            expected = {303} if route.method == "GET" else {401}
        else:
            expected = {200, 204, 303, 400, 409} if allowed(role, route.needs) else {403}
        if answer.status not in expected:
            wrong.append((route.method, route.path, answer.status))
    assert not wrong


async def test_every_answer_carries_the_security_headers(desk, client):
    admin, stranger = await client("admin"), await client()
    paths = [path_of(route, desk.ids) for route in CONSOLE if route.method == "GET"]
    paths += ["/portal", "/portal/portal", "/portal/nothing", "/portal/receipt/R-1", "/static/console.css", "/healthz"]
    paths += [
        "/readyz",
        "/in/hooks/x",
        "/in/nothing/x",
        "/nothing",
        "/static/../server.py",
        "/static/%2e%2e%2fserver.py",
    ]
    for browser in (admin, stranger):
        for path in paths:
            answer = await browser.get(path, allow_redirects=False)
            assert answer.headers["X-Content-Type-Options"] == "nosniff", path
            policy = answer.headers["Content-Security-Policy"]
            assert policy.startswith("default-src 'none'"), path
            assert "unsafe-inline" not in policy.replace("style-src 'unsafe-inline'", "") or "/html" in path, path
            assert "frame-ancestors" in policy or "sandbox" in policy, path
            assert answer.headers["Referrer-Policy"] == "same-origin", path
            assert answer.headers["Cross-Origin-Opener-Policy"] == "same-origin", path
            assert "aiohttp" not in answer.headers.get("Server", ""), path
            if not path.startswith("/static/console"):
                assert answer.headers["Cache-Control"] == "no-store", path


async def test_assets_can_be_kept_for_good_under_their_version_alone(client):
    from hub.web.site import ASSETS

    browser = await client()
    tag = ASSETS["console.css"].tag
    assert "immutable" in (await browser.get(f"/static/console.css?v={tag}")).headers["Cache-Control"]
    assert "immutable" not in (await browser.get("/static/console.css?v=old")).headers["Cache-Control"]


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Sec-Fetch-Site": "same-origin"}, 303),
        ({"Sec-Fetch-Site": "cross-site"}, 403),
        ({"Sec-Fetch-Site": "same-site"}, 403),
        ({"Origin": "http://desk.lan:8080"}, 303),
        ({"Origin": "http://evil.test"}, 403),
        ({"Origin": "http://desk.lan:8080.evil.test"}, 403),
        ({"Origin": "https://desk.lan:8080"}, 403),
        ({"Origin": "null"}, 403),
        ({}, 403),
    ],
)
async def test_a_post_counts_only_from_our_own_pages(headers, status, desk):
    import aiohttp
    import msgspec

    desk.config = msgspec.structs.replace(desk.config, public_url="http://desk.lan:8080")
    cookie = {"trunkline": await desk.session("agent")}
    async with aiohttp.ClientSession(desk.url, cookies=cookie, cookie_jar=aiohttp.CookieJar(unsafe=True)) as session:
        path = f"/console/queries/{desk.ids['vpn']['reference']}/note"
        answer = await session.post(path, data={"text": "x"}, headers=headers, allow_redirects=False)
    assert answer.status == status
    assert bool(desk.operations.calls) == (status == 303)


async def test_a_login_from_another_site_is_refused(desk, client):
    browser = await client()
    answer = await browser.post("/console/login", data={}, headers={"Sec-Fetch-Site": "cross-site"})
    assert answer.status == 403


async def test_a_link_from_another_site_is_tried_again_from_our_own(client, desk):
    stranger = await client()
    answer = await stranger.get("/console/health", headers={"Sec-Fetch-Site": "cross-site"}, allow_redirects=False)
    assert answer.headers["Refresh"] == "0; url=/console/health?again=1"


async def test_ids_that_no_store_can_hold_are_not_found(client):
    browser = await client("admin")
    for bad in ("99999999999999999999", "-1", "1e3", "9223372036854775808", "%00", "١"):
        for path in ("/console/users/{}", "/console/decisions/{}", "/console/envelopes/{}/raw", "/console/caught/{}/0"):
            assert (await browser.get(path.format(bad), allow_redirects=False)).status == 404
