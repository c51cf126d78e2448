"""plugins.toml to a Config: everything that is wrong is named at once, and the environment wins."""

from pathlib import Path

import pytest

from hub.config import Config, Unusable, config_path, listen_address, load_config, load_place, load_plugins
from plugins import BadConfig

GOOD = """
[hub]
name = "Desk"
[hub.delivery]
schedule = [0.001, 0.002]
[organisation.acme]
name = "Acme"
domains = ["acme.test"]
[team.network]
name = "Network"
[instance.form]
kind = "portal"
[instance.hook]
kind = "webhook"
secrets = ["env:HOOK"]
"""
SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"


def config_of(folder: Path, text: str, **environ: str) -> Config:
    file = folder / "plugins.toml"
    file.write_text(text)
    return load_config(file, {"HOOK": SECRET, **environ})


def problems_of(folder: Path, text: str, **environ: str) -> list[str]:
    with pytest.raises(BadConfig) as refused:
        config_of(folder, text, **environ)
    return [str(problem) for problem in refused.value.problems]


def test_an_empty_file_is_a_configuration(tmp_path: Path):
    config = config_of(tmp_path, "")
    assert config.store == f"sqlite:///{tmp_path}/var/trunkline.db"
    assert config.public_url == "http://127.0.0.1:8080"
    assert config.instances == []


def test_tables_become_typed_settings(tmp_path: Path):
    config = config_of(tmp_path, GOOD)
    assert config.name == "Desk"
    assert config.delivery.schedule == (0.001, 0.002)
    assert config.organisations["acme"].domains == ("acme.test",)
    assert config.teams["network"].name == "Network"
    assert [one.id for one in config.instances] == ["form", "hook"]


def test_every_problem_is_named_with_file_key_and_what_is_allowed(tmp_path: Path):
    problems = problems_of(
        tmp_path,
        """
        [hub]
        nmae = "x"
        listen = "nowhere"
        [hub.limits]
        waiting = 0
        [frob]
        [instance.x]
        kind = "nope"
        [instance.form]
        kind = "portal"
        colour = "red"
        [team."A b"]
        name = "x"
        [organisation.acme]
        """,
        TRUNKLINE_STORE="mysql://x",
    )
    expected = {
        "plugins.toml: frob: unknown table": "allowed: hub, plugins, instance",
        "plugins.toml: hub.nmae: unknown key": "did you mean name?",
        "plugins.toml: hub.limits.waiting: expected a whole number from 1 to 1000000000, got 0": "",
        "plugins.toml: instance.x.kind: no plugin offers this kind": "kinds: ",
        "plugins.toml: instance.form.colour: unknown key": "",
        "plugins.toml: team.A b: a slug is": "lower-case",
        "plugins.toml: organisation.acme.name: is missing": "",
        "environment: TRUNKLINE_STORE: expected": "sqlite:///path",
    }
    for beginning, hint in expected.items():
        (found,) = [problem for problem in problems if problem.startswith(beginning)]
        assert hint in found


@pytest.mark.parametrize(
    ("setting", "key", "words"),
    [
        ('listen = "nowhere"', "listen", '"host:port", such as'),
        (f"name = 0x{'f' * 5000}", "name", "got one of thousands of digits"),
        ('listen = "127.0.0.1:70000"', "listen", "host:port"),
        ('listen = "300.0.0.1:80"', "listen", "host:port"),
        ('public_url = "ftp://x"', "public_url", "https://desk"),
        ('public_url = "https://a@b/"', "public_url", "https://desk"),
        ('public_url = "https://"', "public_url", "https://desk"),
        ('public_url = "https://x/?a=b"', "public_url", "https://desk"),
        ('language = "English"', "language", '"en"'),
        ('triage.languages = ["en", "German please"]', "triage.languages[1]", '"pt-BR"'),
        ('store = "mysql://x"', "store", "sqlite:///path"),
        ('proxies = ["10.0.0.0/8", "10.0.0.1/8"]', "proxies[1]", "10.2.0.0/16"),
        ('egress.allow = ["10.0.0.0/8", "foo"]', "egress.allow[1]", "host:port"),
    ],
)
def test_a_value_of_the_wrong_form_is_refused_with_its_key_and_what_is_allowed(
    tmp_path: Path, setting: str, key: str, words: str
):
    (problem,) = problems_of(tmp_path, f"[hub]\n{setting}\n")
    assert problem.startswith(f"plugins.toml: hub.{key}: expected ")
    assert words in problem


@pytest.mark.parametrize(
    ("setting", "words"),
    [
        ("delivery.horizon = inf", "a number above 0, 315360000 at most, got inf"),
        ("delivery.lease = 1e300", "a number above 0, 315360000 at most, got 1e+300"),
        ("delivery.lease = nan", "a number above 0, 315360000 at most, got nan"),
        ("delivery.poll = 1e10", "315360000 at most"),
        ("delivery.concurrency = 1000000", "from 1 to 10000"),
        ("limits.batch = 99999999999999999999", "from 1 to 100000, got 99999999999999999999"),
        ("limits.disk_reserve = 99999999999999999999", "from 0 to "),
        ("parse.memory_mb = 99999999999999999999", "from 128 to 1048576"),
        ("parse.workers = 100000000", "from 1 to 256"),
        ("egress.max_answer = 4294967296", "from 1 to 1073741824"),
        ("threading.window_days = 1000000000", "from 0 to 3650"),
    ],
)
def test_number_that_would_stop_the_hub_at_run_time_is_refused_before(tmp_path: Path, setting: str, words: str):
    (problem,) = problems_of(tmp_path, f"[hub]\n{setting}\n")
    assert problem.startswith(f"plugins.toml: hub.{setting.partition(' ')[0]}: expected ")
    assert words in problem


def test_pause_that_never_ends_is_named_by_its_place_in_the_schedule(tmp_path: Path):
    (problem,) = problems_of(tmp_path, "[hub]\ndelivery.schedule = [5, inf]\n")
    assert problem.startswith("plugins.toml: hub.delivery.schedule[1]: expected a number")


def test_values_of_the_wrong_form_are_named_all_at_once_beside_other_mistakes(tmp_path: Path):
    problems = problems_of(
        tmp_path,
        """
        [hub]
        listen = "nowhere"
        public_url = "desk.acme.test"
        proxies = ["x", "y"]
        frob = 1
        limits.waiting = 0
        [organisation.acme]
        name = "Acme"
        domains = ["acme.test", "@acme.test", "10.0.0.1"]
        [instance.mail]
        kind = "email"
        address = "desk"
        aliases = ["a@b.test", "nobody"]
        display_name = "a\\nb"
        smtp = { host = "a b" }
        [instance.hook]
        kind = "webhook"
        secrets = ["env:HOOK"]
        deliver_url = "crm.acme.test"
        """,
    )
    keys = {problem.split(": ")[1] for problem in problems}
    assert keys == {
        "hub.listen", "hub.public_url", "hub.proxies[0]", "hub.proxies[1]", "hub.frob", "hub.limits.waiting",
        "organisation.acme.domains[1]", "organisation.acme.domains[2]", "instance.mail.address",
        "instance.mail.aliases[1]", "instance.mail.display_name", "instance.mail.smtp.host",
        "instance.hook.deliver_url",
    }  # fmt: skip


@pytest.mark.parametrize("host", ["127.0.0.1", "0.0.0.0"])
def test_a_port_that_is_wanted_twice_is_refused_at_both_places(tmp_path: Path, host: str):
    mailbox = '[instance.{}]\nkind = "email"\naddress = "{}@acme.test"\nlisten = {{ host = "{}", port = {} }}\n'
    problems = problems_of(
        tmp_path,
        '[hub]\nlisten = "127.0.0.1:8025"\n'
        + mailbox.format("one", "a", host, 8025)
        + mailbox.format("two", "b", "127.0.0.2", 2525)
        + mailbox.format("three", "c", "127.0.0.3", 2525)
        + mailbox.format("four", "d", "127.0.0.3", 0)
        + mailbox.format("five", "e", "127.0.0.3", 0),
    )
    assert len(problems) == 1
    assert problems[0].startswith("plugins.toml: instance.one.listen: hub.listen has port 8025 already")


def test_a_domain_of_two_organisations_is_refused_at_the_second(tmp_path: Path):
    table = '[organisation.{0}]\nname = "{0}"\ndomains = {1}\n'
    text = table.format("a", '["acme.test", "acme.test"]') + table.format("b", '["b.test", "ACME.test"]')
    problems = problems_of(tmp_path, text)
    assert problems == ["plugins.toml: organisation.b.domains[1]: belongs to organisation.a already"]


def test_a_disabled_instance_takes_no_port(tmp_path: Path):
    text = '[hub]\nlisten = "127.0.0.1:8025"\n[instance.one]\nkind = "email"\naddress = "a@b.test"\nenabled = false\n'
    assert config_of(tmp_path, text + "listen = { port = 8025 }\n").instances[0].id == "one"


def test_what_fits_is_held_together_beside_other_mistakes(tmp_path: Path):
    problems = problems_of(
        tmp_path,
        """
[hub]
name = 5
listen = "127.0.0.1:8080"
[hub.delivery]
lease = "long"
[instance.mail]
kind = "email"
address = "a@desk.test"
listen = { port = 8080 }
[instance.hook]
kind = "webhook"
name = "MAIL"
""",
    )
    assert any("instance.mail.listen: hub.listen has port 8080 already" in one for one in problems), problems
    assert any("instance.hook.name: has the name of instance.mail" in one for one in problems), problems
    assert len(problems) == 5, problems


def test_port_that_is_no_port_stands_in_nobodys_way(tmp_path: Path):
    mail = '[instance.mail]\nkind = "email"\naddress = "a@desk.test"\nlisten = { port = 8080 }\n'
    (problem,) = problems_of(tmp_path, '[hub]\nlisten = "nowhere"\n' + mail)
    assert "hub.listen: expected" in problem


def test_bad_configuration_still_says_what_there_is_by_name(tmp_path: Path):
    text = """
[hub]
name = 5
rules = "r.toml"
[hub.triage]
shadow = 7
articles = "help"
[instance.mail]
kind = "email"
[instance.log]
kind = "querylog"
colour = "red"
[instance.new]
kind = "jirra"
[team.desk]
nam = "Desk"
"""
    with pytest.raises(Unusable) as refused:
        config_of(tmp_path, text)
    config = refused.value.config
    assert (config.rules, config.articles) == (tmp_path / "r.toml", tmp_path / "help")
    assert {one.id for one in config.instances if one.target} == {"log", "new"}
    assert {one.id for one in config.instances if not one.target} == {"mail", "new"}
    assert config.teams.keys() == {"desk"}


def test_the_environment_wins_over_the_file(tmp_path: Path):
    store = "postgresql+psycopg://u:p@db/x"
    assert config_of(tmp_path, '[hub]\nstore = "sqlite:///a.db"\n', TRUNKLINE_STORE=store).store == store


@pytest.mark.parametrize("rest", ["host:abc/x", "[::1/x", "host:99999/x", "host:0/x"])
def test_store_address_that_can_t_be_read_is_a_mistake_that_shows_no_password(tmp_path: Path, rest: str):
    store = f"postgresql+psycopg://u:hunter22@{rest}"
    problems = problems_of(tmp_path, f'[hub]\nstore = "{store}"\n', TRUNKLINE_STORE=store)
    for key in ("environment: TRUNKLINE_STORE", "plugins.toml: hub.store"):
        assert [each for each in problems if each.startswith(f'{key}: expected "sqlite:///path"')]
    assert "hunter22" not in "".join(problems)


@pytest.mark.parametrize("rest", ["u:p@[::1]:5432/x", "u:p%23[@db/x", "/x?host=/run/postgresql"])
def test_store_address_is_whatever_postgresql_takes(tmp_path: Path, rest: str):
    store = f"postgresql+psycopg://{rest}"
    assert config_of(tmp_path, "[hub]\n", TRUNKLINE_STORE=store).store == store


def test_paths_start_from_the_folder_of_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir("/")
    config = config_of(tmp_path, '[hub]\nstore = "sqlite:///own/x.db"\ndata = "d"\nrules = "r.toml"\n')
    assert config.store == f"sqlite:///{tmp_path}/own/x.db"
    assert (config.data, config.rules) == (tmp_path / "d", tmp_path / "r.toml")


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"a = [", "is not TOML"),
        (b"\xff\xfe", "not UTF-8"),
        (b"a = " + b"[" * 2000 + b"]" * 2000, "nested too deeply"),
        (b"instance = 3", "expected tables"),
        (b"hub = 3", "expected a table"),
    ],
)
def test_a_file_that_is_no_configuration_is_refused_not_raised(tmp_path: Path, content: bytes, words: str):
    file = tmp_path / "plugins.toml"
    file.write_bytes(content)
    with pytest.raises(BadConfig, match=words):
        load_config(file, {})


def test_a_missing_file_says_how_to_write_one(tmp_path: Path):
    with pytest.raises(BadConfig, match="trunkline init"):
        load_config(tmp_path / "none.toml", {})


def test_a_file_that_is_there_and_unreadable_is_nothing_for_init(tmp_path: Path):
    large = tmp_path / "large.toml"
    large.write_bytes(b"#" * (5 << 20))
    for path, words in ((large, "more than"), (tmp_path, "a folder")):
        with pytest.raises(BadConfig, match=words) as refused:
            load_config(path, {})
        assert "trunkline init" not in str(refused.value)


@pytest.mark.parametrize("key", ["team", "organisation", "instance"])
def test_what_should_be_tables_is_told_once(tmp_path: Path, key: str):
    assert problems_of(tmp_path, f'{key} = "x"') == [f"plugins.toml: {key}: expected tables ([{key}.NAME])"]


def test_a_byte_order_mark_is_no_problem(tmp_path: Path):
    file = tmp_path / "plugins.toml"
    file.write_bytes(b'\xef\xbb\xbf[hub]\nname = "B"\n')
    assert load_config(file, {}).name == "B"


def test_secrets_do_not_show(tmp_path: Path):
    assert SECRET not in repr(config_of(tmp_path, GOOD))


def test_the_place_needs_no_plugin_and_no_secret(tmp_path: Path):
    file = tmp_path / "plugins.toml"
    file.write_text('[hub]\ndata = "d"\n[instance.x]\nkind = "nope"\nsecret = "env:NONE"\n')
    assert load_place(file, {}).store == f"sqlite:///{tmp_path}/d/trunkline.db"


def test_a_reload_takes_the_plugins_that_run(tmp_path: Path):
    running = load_plugins(tmp_path / "none.toml")
    file = tmp_path / "plugins.toml"
    file.write_text("")
    assert load_config(file, {}, plugins=running).plugins is running


def test_the_configuration_is_found_by_option_then_environment_then_here():
    assert config_path(Path("a.toml"), {"TRUNKLINE_CONFIG": "b.toml"}) == Path("a.toml")
    assert config_path(None, {"TRUNKLINE_CONFIG": "b.toml"}) == Path("b.toml")
    assert config_path(None, {}) == Path("plugins.toml")


@pytest.mark.parametrize(("listen", "address"), [("127.0.0.1:80", ("127.0.0.1", 80)), ("[::1]:0", ("::1", 0))])
def test_listen_addresses_are_split(listen: str, address: tuple[str, int]):
    assert listen_address(listen) == address
