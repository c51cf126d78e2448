"""TOML tables to typed settings: every problem of a table is named at once, in the words of its author.

Settings are msgspec structs (frozen, keyword-only) whose fields carry `Annotated[…, Meta(description=…)]`, and `Fits`
beside it where a type can't say what is allowed. A check over several fields stands in `__post_init__` and raises
`Unfit` (or ValueError), which is asked only once all fields are right by themselves. msgspec's own decoder stops at
the first error, hence the walk over fields here; it checks the leaves.
"""

import difflib
import json
import stat
import types
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any, Final, Literal, TypeVar, Union, get_args, get_origin

import msgspec

from plugins.errors import Problem
from plugins.model import Secret

SettingsT = TypeVar("SettingsT", bound=msgspec.Struct)
BesideT = TypeVar("BesideT")

_BAD: Final[Any] = object()
_SECRET_LIMIT = 64 * 1024  # bytes; a key, a password, a JSON credential
_LARGEST = 1 << 63
"""TOML has inf and nan, and Python reads whole numbers of any length: no clock, database or socket takes them."""
_TOO_LARGE = "no number may be nan, or 2^63 and more"
_REFERENCE = 'a reference to a secret: "env:NAME" or "file:path"'
_WORDS = {
    str: "text",
    bool: "true or false",
    int: "a whole number",
    float: "a number",
    datetime: "a date with a time, such as 2026-11-21T08:00:00Z",
    Secret: _REFERENCE,
}


class Fits(msgspec.Struct, frozen=True):
    """Beside Meta in `Annotated[…]`: what the value must look like, in words that stand after "expected"."""

    words: str
    """`"host:port", such as "127.0.0.1:8080"`."""
    check: Callable[[Any], bool]


class Unfit(ValueError):
    """Raised by `__post_init__`: what doesn't go together, as (name of the setting, what is wrong)."""

    def __init__(self, *wrong: tuple[str, str]) -> None:
        super().__init__("; ".join(f"{key}: {what}" for key, what in wrong))
        self.wrong = wrong


class SettingRow(msgspec.Struct, frozen=True, kw_only=True):
    """One setting for people: in the reference, `trunkline plugins list` and `trunkline init`."""

    name: str
    """With its path: `server.port`, `rules[].name`."""
    type: str
    """In words: "a whole number from 1 to 65535"."""
    default: str
    """As TOML would write it; "required", or "unset" for what may be left out."""
    description: str


def load_settings(
    table: Mapping[str, Any],
    settings_type: type[SettingsT],
    *,
    file: str,
    key: str,
    environ: Mapping[str, str],
    base: Path,
    reveal: bool = True,
) -> tuple[SettingsT | None, list[Problem]]:
    """Settings, or None and everything that is wrong with them.

    `file` and `key` say where the table stands; `base` is the folder that `file:` references start from.
    `reveal=False` reads no secret and fills blanks: for parse workers and for listings.
    """
    reader = _Reader(file, environ, base, reveal=reveal)
    settings = reader.struct(settings_type, table, key)
    return (None if reader.problems else settings), reader.problems


def describe_settings(settings_type: type[msgspec.Struct]) -> list[SettingRow]:
    """One row per setting, in the order of the struct; nested tables are spread out."""
    return list(_rows(settings_type, ""))


class _Reader:
    """One walk over one table: collects problems instead of raising them."""

    def __init__(self, file: str, environ: Mapping[str, str], base: Path, *, reveal: bool) -> None:
        self.problems: list[Problem] = []
        self._file = file
        self._environ = environ
        self._base = base
        self._reveal = reveal

    def struct(self, kind: type[Any], table: Any, path: str) -> Any:
        """A struct from a table; `_BAD` if anything below is wrong."""
        if not isinstance(table, Mapping):
            return self._bad(path, f"expected a table, got {_got(table)}")
        fields = {field.encode_name: field for field in msgspec.structs.fields(kind)}
        before = len(self.problems)
        for name in table:
            if name not in fields:
                self._bad(_join(path, name), "unknown key", _nearest(str(name), list(fields)))
        values: dict[str, Any] = {}
        for name, field in fields.items():
            if name in table and not (table[name] == "" == field.default):  # written out, and still unset
                values[field.name] = self.value(field.type, table[name], _join(path, name))
            elif field.required:
                self._bad(_join(path, name), "is missing", f"needs {in_words(field.type)}")
        if len(self.problems) > before:
            return _BAD
        return self._made(kind, values, path)

    def _made(self, kind: type[Any], values: Mapping[str, Any], path: str) -> Any:
        try:
            return kind(**values)
        except Unfit as error:  # from its __post_init__, as the next
            for key, what in error.wrong:
                self._bad(_join(path, key), what)
            return _BAD
        except ValueError as error:
            return self._bad(path, str(error))

    def value(self, hint: Any, value: Any, path: str) -> Any:
        """A value by its type; `_BAD`, with a problem, if it doesn't fit."""
        plain = _plain(hint)
        if plain is Secret:
            return self._secret(value, path)
        if _is_struct(plain):
            return self.struct(plain, value, path)
        item = _item(plain)
        if item is not None and _walks(item):
            return self._sequence(hint, plain, item, value, path)
        if get_origin(plain) is dict and _walks(get_args(plain)[1]):
            return self._mapping(get_args(plain)[1], value, path)
        try:
            made = msgspec.convert(value, Annotated[(plain, *_metas(hint))] if _metas(hint) else plain)
        except msgspec.ValidationError as error:
            where = str(error).partition(" - at `$")[2].rstrip("`")
            return self._bad(path + where, f"expected {in_words(hint)}, got {_got(value)}", choices(plain, value))
        if isinstance(made, int | float) and not abs(made) < _LARGEST:  # so, because nan is not above either
            return self._bad(path, f"expected {in_words(hint)}, got {_got(value)}", _TOO_LARGE)
        if all(fits.check(made) for fits in _beside(hint, Fits)):
            return made
        return self._bad(path, f"expected {in_words(hint)}")

    def _sequence(self, hint: Any, plain: Any, item: Any, value: Any, path: str) -> Any:
        if not isinstance(value, list):
            return self._bad(path, f"expected {in_words(hint)}, got {_got(value)}")
        try:
            msgspec.convert([None] * len(value), _sized(hint))
        except msgspec.ValidationError:
            return self._bad(path, f"expected {in_words(hint)}, got {len(value)}")
        values = [self.value(item, each, f"{path}[{number}]") for number, each in enumerate(value)]
        return _BAD if _BAD in values else get_origin(plain)(values)

    def _mapping(self, item: Any, value: Any, path: str) -> Any:
        if not isinstance(value, Mapping):
            return self._bad(path, f"expected a table, got {_got(value)}")
        return {name: self.value(item, each, _join(path, name)) for name, each in value.items()}

    def _secret(self, value: Any, path: str) -> Any:
        """A literal is refused without being repeated: this file is read by more people than the secret."""
        scheme, _, name = value.partition(":") if isinstance(value, str) else ("", "", "")
        if scheme not in {"env", "file"} or not name:
            return self._bad(path, f"expected {_REFERENCE}", "move the value there; it is not shown here")
        if not self._reveal:
            return Secret("")
        try:
            text = self._environ.get(name, "") if scheme == "env" else _secret_file(self._base / name)
        except ValueError as error:
            return self._bad(path, str(error))
        if not text:
            source = f"the environment variable {name}" if scheme == "env" else f"the file {name}"
            return self._bad(path, f"{source} is not set or empty")
        return Secret(text)

    def _bad(self, path: str, what: str, fix: str = "") -> Any:
        self.problems.append(Problem(file=self._file, key=path, what=what, fix=fix))
        return _BAD


def _secret_file(file: Path) -> str:
    """The file's text without its last line end.

    Raises:
        ValueError: in words for the administrator, what is wrong with the file.
    """
    if "\0" in str(file):
        raise ValueError(f"{str(file)!r} is no name of a file: it has a NUL character")
    try:
        mode = file.stat().st_mode
        if not stat.S_ISREG(mode):
            raise ValueError(f"{file} is not a plain file")
        if mode & stat.S_IROTH:
            raise ValueError(f"{file} can be read by everybody: chmod 600 {file}")
        with file.open("rb") as stream:
            raw = stream.read(_SECRET_LIMIT + 1)
    except OSError as error:
        raise ValueError(f"{file} can't be read: {error.strerror}") from None
    if len(raw) > _SECRET_LIMIT:
        raise ValueError(f"{file} is longer than {_SECRET_LIMIT} bytes")
    try:
        return raw.decode().removesuffix("\n").removesuffix("\r")
    except UnicodeDecodeError:
        raise ValueError(f"{file} is not UTF-8 text") from None


# ---- types, taken apart and put into words ---------------------------------------------------------


def _plain(hint: Any) -> Any:
    """Without Annotated and without None: TOML has no null, a key that is unset is left out."""
    if get_origin(hint) is Annotated:
        return _plain(get_args(hint)[0])
    if get_origin(hint) in {Union, types.UnionType}:
        rest = [arg for arg in get_args(hint) if arg is not type(None)]
        return _plain(rest[0]) if len(rest) == 1 else Union[tuple(rest)]  # noqa: UP007  # built at run time
    return hint


def _metas(hint: Any) -> list[msgspec.Meta]:
    return _beside(hint, msgspec.Meta)


def _beside(hint: Any, kind: type[BesideT]) -> list[BesideT]:
    """What stands in `Annotated` of this kind, also in the parts of a union."""
    if get_origin(hint) is Annotated:
        return [meta for meta in get_args(hint)[1:] if isinstance(meta, kind)] + _beside(get_args(hint)[0], kind)
    if get_origin(hint) in {Union, types.UnionType}:
        return [meta for arg in get_args(hint) for meta in _beside(arg, kind)]
    return []


def _is_struct(plain: Any) -> bool:
    return isinstance(plain, type) and issubclass(plain, msgspec.Struct)


def _item(plain: Any) -> Any:
    """What a list, tuple or set holds; None for everything else."""
    args = get_args(plain)
    if get_origin(plain) in {list, set, frozenset} or (get_origin(plain) is tuple and args[1:] == (...,)):
        return args[0]
    return None


def _walks(hint: Any) -> bool:
    """Has it something inside that msgspec alone would not report one by one, or not at all?"""
    return (
        _plain(hint) in {int, float}
        or _nests(hint)
        or bool(_beside(hint, Fits))
        or any(_walks(arg) for arg in _inside(hint))
    )


def _nests(hint: Any) -> bool:
    """Has it structs or secrets inside?"""
    plain = _plain(hint)
    return plain is Secret or _is_struct(plain) or any(_nests(arg) for arg in _inside(hint))


def _inside(hint: Any) -> list[Any]:
    return [arg for arg in get_args(_plain(hint)) if arg is not ... and get_origin(_plain(hint)) is not Literal]


def _sized(hint: Any) -> Any:
    """The list type of `hint` with its length limits alone."""
    limits = [meta for meta in _metas(hint) if meta.min_length is not None or meta.max_length is not None]
    return Annotated[(list[Any], *limits)] if limits else list[Any]


def in_words(hint: Any) -> str:
    """A type in an administrator's words, with its limits."""
    plain, limits = _plain(hint), "".join(_limits(_metas(hint), _plain(hint)))
    if fits := _beside(hint, Fits):
        return " and ".join(each.words for each in fits) + limits
    if get_origin(plain) is Literal:
        return "one of " + ", ".join(json.dumps(arg) for arg in get_args(plain))
    if get_origin(plain) is Union:
        return " or ".join(in_words(arg) for arg in get_args(plain))
    item = _item(plain)
    if item is not None:
        return f"a list{limits}, each {in_words(item)}"
    if _is_struct(plain) or get_origin(plain) is dict:
        return "a table"
    return _WORDS.get(plain, getattr(plain, "__name__", str(plain))) + limits


def _limits(metas: Sequence[msgspec.Meta], plain: Any) -> Iterator[str]:
    unit = "characters" if plain is str else "entries"
    for meta in metas:
        if meta.ge is not None and meta.le is not None:
            yield f" from {meta.ge} to {meta.le}"
        elif meta.gt is not None and meta.le is not None:
            yield f" above {meta.gt}, {meta.le} at most"
        elif meta.ge is not None or meta.le is not None:
            yield f" of at least {meta.ge}" if meta.le is None else f" of at most {meta.le}"
        if meta.gt is not None and meta.le is None:
            yield f" above {meta.gt}"
        if meta.lt is not None:
            yield f" below {meta.lt}"
        if meta.min_length is not None:
            yield f" of at least {meta.min_length} {unit}"
        if meta.max_length is not None:
            yield f" of at most {meta.max_length} {unit}"
        if meta.pattern is not None:
            yield f" that matches {meta.pattern}"


def _got(value: Any) -> str:
    """What stands there, by kind: a value may be a secret in the wrong place, so it is never repeated."""
    names = {
        bool: "true or false",
        int: "a whole number",
        float: "a number",
        str: "text",
        list: "a list",
        dict: "a table",
    }
    if isinstance(value, int | float) and not isinstance(value, bool):
        try:
            return str(value)
        except ValueError:  # TOML may write it in hexadecimal, Python does not in decimal
            return "one of thousands of digits"
    return names.get(type(value), type(value).__name__)


def choices(hint: Any, value: Any) -> str:
    """`did you mean …?` for a misspelt one of a few words; else ""."""
    plain = _plain(hint)
    if get_origin(plain) is Literal and isinstance(value, str):
        return _nearest(value, [str(arg) for arg in get_args(plain)], allowed=False)
    return ""


def _nearest(name: str, allowed_names: list[str], *, allowed: bool = True) -> str:
    near = difflib.get_close_matches(name, allowed_names, n=2)
    hints = [f"did you mean {' or '.join(near)}?"] if near else []
    if allowed:
        hints.append(f"allowed: {', '.join(allowed_names)}")
    return " ".join(hints)


def _join(path: str, name: str) -> str:
    return f"{path}.{name}" if path else str(name)


def _rows(settings_type: type[msgspec.Struct], prefix: str) -> Iterator[SettingRow]:
    for field in msgspec.structs.fields(settings_type):
        plain = _plain(field.type)
        inner = _item(plain)
        path = prefix + field.encode_name
        description = next((meta.description for meta in _metas(field.type) if meta.description), "")
        yield SettingRow(name=path, type=in_words(field.type), default=_default(field), description=description)
        if _is_struct(plain):
            yield from _rows(plain, f"{path}.")
        elif inner is not None and _is_struct(_plain(inner)):
            yield from _rows(_plain(inner), f"{path}[].")
        elif get_origin(plain) is dict and _is_struct(_plain(get_args(plain)[1])):
            yield from _rows(_plain(get_args(plain)[1]), f"{path}.NAME.")


def _default(field: msgspec.structs.FieldInfo) -> str:
    if field.required:
        return "required"
    value = field.default if field.default is not msgspec.NODEFAULT else field.default_factory()
    if value is None:
        return "unset"
    if _nests(field.type):
        return "see below" if value else json.dumps(msgspec.to_builtins(value))
    return json.dumps(msgspec.to_builtins(value), ensure_ascii=False)
