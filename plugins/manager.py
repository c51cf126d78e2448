"""Which plugins there are: built-in modules, dotted modules, local folders and entry points (group `trunkline`).

Two kinds of trouble, because the hub does different things with them. `problems` are mistakes in a configuration
or in a class: a start is refused with all of them named. `broken` are plugins that could not be loaded: they take
down only themselves, their instances are shown with the reason, and the rest runs.
"""

import difflib
import importlib
import importlib.metadata
import importlib.util
import inspect
import logging
import sys
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import Annotated, Any

import pluggy
from msgspec import Meta, Struct

from plugins import hookspecs
from plugins.errors import Problem
from plugins.fit import faults, roles
from plugins.model import Event

__all__ = ["Plugins", "Sources", "discover", "roles"]

_LOG = logging.getLogger("trunkline.plugins")
_HOOKS = ("register_connectors", "register_ticketing", "observe_event")


class Sources(Struct, frozen=True, kw_only=True):
    """The table `[plugins]` of plugins.toml: where plugins of your own come from."""

    modules: Annotated[tuple[str, ...], Meta(description="Dotted names of installed modules.")] = ()
    folders: Annotated[
        tuple[str, ...], Meta(description="Folders whose .py files are plugins, from where this file stands.")
    ] = ()
    entry_points: Annotated[
        bool, Meta(description="Take the plugins that installed packages announce under the entry point `trunkline`.")
    ] = True


class Plugins:
    """What was found. Kinds are unique over connectors and targets together."""

    def __init__(self) -> None:
        self.connectors: dict[str, type[Any]] = {}
        self.targets: dict[str, type[Any]] = {}
        self.origins: dict[str, str] = {}
        """Kind → the plugin that offers it."""
        self.problems: list[Problem] = []
        self.broken: dict[str, Problem] = {}
        """Plugin, or kind of a class that doesn't fit → why it can't be used."""
        self._observers: Sequence[tuple[str, Callable[..., Any]]] = ()

    def find(self, kind: str) -> type[Any] | None:
        """The class of a kind, connector or target."""
        return self.connectors.get(kind) or self.targets.get(kind)

    def watch(self, observers: Sequence[tuple[str, Callable[..., Any]]]) -> None:
        """Take (plugin, observer) pairs, each of which is called alone."""
        self._observers = observers

    @property
    def observed(self) -> bool:
        """Does anybody watch? If not, nothing is read for it."""
        return bool(self._observers)

    def observe(self, event: Event) -> None:
        """Show a sealed event to every observer; one that raises is logged and harms nothing."""
        for name, observer in self._observers:
            try:
                observer(event=event)
            except Exception:  # noqa: BLE001  # an observer's own trouble
                _LOG.exception("plugin.observer_failed", extra={"plugin": name, "seq": event.seq})


def discover(
    builtins: Sequence[str],
    *,
    entry_points: bool = True,
    modules: Sequence[str] = (),
    folders: Sequence[Path] = (),
    file: str = "plugins.toml",
) -> Plugins:
    """Import everything that is named and collect its classes; never raises for what a plugin does.

    `builtins` are the hub's own modules, by dotted name. `file` is the name that problems carry.
    """
    finder = _Finder(file)
    for name in builtins:
        finder.add(name, "built in", partial(importlib.import_module, name))
    for name in modules:
        finder.add(name, "plugins.modules", partial(importlib.import_module, name))
    for path, key in finder.local(folders):
        finder.add(_local_name(path), key, partial(_import_file, path))
    for point in importlib.metadata.entry_points(group="trunkline") if entry_points else ():
        finder.add(point.value, f"entry point {point.name}", point.load)
    return finder.finish()


class _Finder:
    def __init__(self, file: str) -> None:
        self.found = Plugins()
        self._file = file
        self._pm = pluggy.PluginManager("trunkline")
        self._pm.add_hookspecs(hookspecs)

    def local(self, folders: Sequence[Path]) -> Iterator[tuple[Path, str]]:
        """The plugin files of all folders: modules and packages whose names don't begin with `_` or `.`."""
        seen: dict[str, Path] = {}
        for folder in folders:
            key = f"plugins.folders.{folder.name}"
            if not folder.is_dir():
                self._problem(key, f"there is no folder {folder}")
                continue
            for path in sorted(folder.iterdir()):
                is_plugin = path.suffix == ".py" or (path / "__init__.py").is_file()
                if path.name[0] in "._" or not is_plugin:
                    continue
                if not path.stem.isidentifier():
                    self._problem(f"{key}.{path.name}", "its name is no Python name", "letters, digits and _ only")
                elif path.stem in seen:
                    self._problem(f"{key}.{path.name}", f"has the name of {seen[path.stem]}", "rename one of them")
                else:
                    seen[path.stem] = path
                    yield path, f"{key}.{path.name}"

    def add(self, name: str, key: str, load: Callable[[], Any]) -> None:
        """One plugin: import it, check its hooks, collect its classes."""
        try:
            plugin = load()
        except (Exception, SystemExit) as error:  # noqa: BLE001  # whatever a plugin does at import stays its own trouble
            self._unusable(name, key, error)
            return
        if self._pm.is_registered(plugin):
            return  # named twice, as a module and as an entry point: no harm
        try:
            self._pm.register(plugin, name)
        except (pluggy.PluginValidationError, ValueError) as error:
            self._problem(key, f"{name}: {' '.join(str(error).split())}")
            return
        self._check_hooks(plugin, name, key)
        for hook, target in (("register_connectors", False), ("register_ticketing", True)):
            for cls in self._classes(plugin, name, key, hook):
                self._collect(cls, name, key, target=target)

    def finish(self) -> Plugins:
        """After the last plugin, because a caller for one plugin would take up those that are registered later."""
        self.found.watch([
            (name, self._alone("observe_event", plugin))
            for name, plugin in self._pm.list_name_plugin()
            if plugin and any(caller.name == "observe_event" for caller in self._callers(plugin))
        ])
        return self.found

    def _unusable(self, name: str, key: str, error: BaseException) -> None:
        if isinstance(error, ModuleNotFoundError) and error.name and (name + ".").startswith(error.name + "."):
            self._problem(key, f"there is no module {name}", "is it installed, is its name right?")
            return
        what = f"{name} can't be imported: {type(error).__name__}: {error}"
        _LOG.error("plugin.broken", exc_info=error, extra={"plugin": name})
        self.found.broken[name] = Problem(file=self._file, key=key, what=what)

    def _check_hooks(self, plugin: Any, name: str, key: str) -> None:
        for caller in self._callers(plugin):
            if not caller.has_spec():
                near = difflib.get_close_matches(caller.name, _HOOKS, n=1, cutoff=0)
                self._problem(key, f"{name} implements the hook {caller.name}, which there is not", f"{near[0]}?")
        for hook in _HOOKS:
            function = getattr(plugin, hook, None)
            if inspect.isfunction(function) and not hasattr(function, "trunkline_impl"):
                self._problem(key, f"{name}.{hook} is never called", "put @hookimpl above it")
            if inspect.iscoroutinefunction(function):
                self._problem(key, f"{name}.{hook} must be a plain def, not async")

    def _classes(self, plugin: Any, name: str, key: str, hook: str) -> list[type[Any]]:
        """What one plugin's register hook returns, flat."""
        try:
            lists = [list(classes) for classes in self._alone(hook, plugin)()]
        except Exception as error:  # noqa: BLE001  # a plugin's own trouble
            self._unusable(name, key, error)
            return []
        classes = [cls for group in lists for cls in group]
        for cls in classes:
            if not isinstance(cls, type):
                self._problem(key, f"{name}.{hook} must return classes, not {type(cls).__name__}")
        return [cls for cls in classes if isinstance(cls, type)]

    def _collect(self, cls: type[Any], name: str, key: str, *, target: bool) -> None:
        kind = str(getattr(cls, "kind", cls.__name__))
        if kind in self.found.origins:
            self._problem(key, f"{name} offers the kind {kind}, which {self.found.origins[kind]} has", "rename it")
            return
        wrong = faults(cls, target=target)
        for fault in wrong:
            self._problem(key, f"{cls.__module__}.{cls.__qualname__}: {fault}")
        if wrong:
            self.found.broken[kind] = self.found.problems[-1]
            return
        self.found.origins[kind] = name
        (self.found.targets if target else self.found.connectors)[kind] = cls

    def _callers(self, plugin: Any) -> list[pluggy.HookCaller]:
        return self._pm.get_hookcallers(plugin) or []

    def _alone(self, hook: str, plugin: Any) -> pluggy.HookCaller:
        """The hook for this plugin only, so that it can fail alone."""
        others = [other for other in self._pm.get_plugins() if other is not plugin]
        return self._pm.subset_hook_caller(hook, remove_plugins=others)

    def _problem(self, key: str, what: str, fix: str = "") -> None:
        self.found.problems.append(Problem(file=self._file, key=key, what=what, fix=fix))


def _local_name(path: Path) -> str:
    return f"trunkline_local_{path.stem}"


def _import_file(path: Path) -> ModuleType:
    """Import a plugin from a local folder, under a name that nothing installed has."""
    file = path / "__init__.py" if path.is_dir() else path
    spec = importlib.util.spec_from_file_location(_local_name(path), file)
    if spec is None or spec.loader is None:
        raise ImportError(f"{file} is no Python module")
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[spec.name]
        raise
    return module
