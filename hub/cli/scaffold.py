"""`trunkline plugins new`: a connector of your own, with a stand-in, its tests and its page, that passes at once."""

import importlib.util
import keyword
import re
import sys
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from hub.cli.common import DEFAULT, WELL, CommandError, Common, Usage
from hub.cli.output import as_json, say, table
from hub.config import builtin_modules
from plugins.manager import discover

TEMPLATES = Path(__file__).parent / "templates" / "connector"
_OWN = ("stand_in", "tests")
"""What it has of its own that Python could take for it: pytest imports its tests as `tests.…`."""
_NAME = re.compile(r"[a-z][a-z0-9]*(_[a-z0-9]+)*")


def new(
    name: Annotated[str, Parameter(help="Its kind: lower-case words joined by _, 32 characters at most.")],
    *,
    folder: Annotated[Path, Parameter(help="Where the folder NAME is made.")] = Path(),
    common: Common = DEFAULT,
) -> int:
    """Write a connector to start from, with tests and a page. It passes the kit at once.

    trunkline plugins new acme_chat && cd acme_chat && pytest
    """
    if not _NAME.fullmatch(name) or len(name) > 32:
        raise Usage("a kind is lower-case words joined by _, 32 characters at most: acme_chat")
    own = discover(builtin_modules(), entry_points=False)
    if name in {**own.connectors, **own.targets}:
        raise Usage(f"{name} is a kind that comes with the hub, and yours can't take its place: give it another name")
    why_not = _taken(name)
    if why_not:
        raise Usage(f"{name} can't be imported as a module of yours, because {why_not}: give it another name")
    place = folder / name
    files = {
        place / "__init__.py": "connector.py.txt",
        place / "README.md": "README.md.txt",
        place / "pytest.ini": "pytest.ini.txt",
        place / "tests" / "stand_in.py": "stand_in.py.txt",
        place / "tests" / f"test_{name}.py": "test.py.txt",
    }
    try:
        place.mkdir(parents=True)
        (place / "tests").mkdir()
        for file, template in files.items():
            file.write_text(_filled((TEMPLATES / template).read_text(), name))
    except FileExistsError as error:
        raise CommandError(f"{place} is there already") from error
    except OSError as error:
        raise CommandError(f"{error.filename}: {error.strerror}") from error
    if common.json:
        as_json([str(file) for file in files])
    else:
        table(("file",), ((str(file),) for file in files))
        say(f"Next: cd {place} && pytest, then docs/write-a-connector.md")
    return WELL


def _taken(name: str) -> str:
    """Why no module and class can be called so; "" if they can."""
    cls = _class(name)
    if keyword.iskeyword(name) or keyword.iskeyword(cls):
        return "it is a word of Python's"
    if name in _OWN or any(re.search(rf"\b{cls}\b", file.read_text()) for file in TEMPLATES.iterdir()):
        return "what it is made of has something that is called so"
    if name in sys.stdlib_module_names or importlib.util.find_spec(name) is not None:
        return "a module is called so that is here already"
    return ""


def _class(name: str) -> str:
    return "".join(word.title() for word in name.split("_"))


def _filled(text: str, name: str) -> str:
    """The template's four words replaced; an instance's id has no `_`."""
    words = name.split("_")
    text = text.replace("DASHED", "-".join(words))
    text = text.replace("CLASS", _class(name))
    return text.replace("NAME", name).replace("TITLE", " ".join(words).capitalize())
