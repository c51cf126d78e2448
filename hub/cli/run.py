"""Builds the command line from the table in `hub.cli`, and turns what a command raises into words and an exit code."""

from collections.abc import Sequence

from cyclopts import App, CycloptsError

from hub.cli import CODES, COMMANDS, GROUPS, HELP
from hub.cli.common import AWAY, CONFIG, USAGE, CommandError
from hub.cli.output import as_json, complain


def build(version: str, argv: Sequence[str] = ()) -> App:
    """The whole command line; no command is loaded yet.

    The one that `argv` names gets no help from the table: cyclopts then loads it and shows its docstring, examples and
    all.
    """
    words = [word for word in argv if not word.startswith("-")]
    app = App(
        name="trunkline",
        help=HELP,
        help_epilogue=CODES,
        help_format="plaintext",
        version=version,
        result_action="return_int_as_exit_code_else_zero",
    )
    groups = {name: App(name=name, help=text, help_format="plaintext") for name, text in GROUPS.items()}
    for group in groups.values():
        app.command(group)
    for parent, name, where, text in COMMANDS:
        named = [word for word in (parent, name) if word]
        line = {} if words[: len(named)] == named else {"help": text}
        groups.get(parent, app).command(where, name=name, help_format="plaintext", **line)
    return app


def run(argv: Sequence[str], version: str) -> int:
    """The exit code. With `--json` what went wrong is a document too: `{"error": {"code": …, "what": …}}`."""
    told = "--json" in argv
    try:
        return int(build(version, argv)(list(argv), exit_on_error=False, print_error=not told) or 0)
    except CycloptsError as error:  # which has printed itself
        words, code, printed = str(error), USAGE, True
    except CommandError as error:
        words, code, printed = str(error), error.code, False
    except Exception as error:
        words, code = _ending(error)
        if not code:
            raise
        printed = False
    if told:
        as_json({"error": {"code": code, "what": words}})
    elif not printed:
        complain(words)
    return code


def _ending(error: Exception) -> tuple[str, int]:
    """What a refused configuration or store means for the person who typed; ("", 0) for a bug."""
    # Loaded only here: SQLAlchemy alone takes longer than the whole of `--help`.
    from context_store.errors import StoreError  # noqa: PLC0415
    from plugins.errors import BadConfig  # noqa: PLC0415

    if isinstance(error, BadConfig):
        return "\n".join(str(problem) for problem in error.problems), CONFIG
    return (str(error), AWAY) if isinstance(error, StoreError) else ("", 0)
