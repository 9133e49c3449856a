"""Methods of the user's own: one file that calls ``dfa_core.register`` is enough."""

from __future__ import annotations

import hashlib
import importlib
import importlib.util
import inspect
import sys
import traceback
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

from omegaconf import MISSING

from benchmarks.catalogue.methods import MethodEntry, add_method, known_methods
from benchmarks.settings.overrides import Overrides
from benchmarks.terminal.errors import nearest
from benchmarks.terminal.guard import Terminated
from benchmarks.terminal.names import problem_of_name

#: Keys that every method of a plugin has beside its keywords.
_RESERVED = ("name", "code")
_loaded: set[str] = set()


def load(specification: str) -> None:
    """Import ``specification`` (a ``.py`` file or a module name) and offer the methods it registers as `method=…`.

    A method's settings are its constructor's keywords (numbers, strings, booleans; one without a default must be
    given on the command line) and a hash of the plugin's files, so that an edited plugin is another configuration.

    Raises:
        ValueError: there is no such file or module, it does not import, or it registers no method.
    """
    import dfa_core
    from dfa_core.registry import registration

    key = str(Path(specification).resolve()) if specification.endswith(".py") else specification
    if key in _loaded:
        return
    before = set(dfa_core.registered_methods())
    try:
        module = _import(specification)
    except (KeyboardInterrupt, Terminated):  # the user's wish, and not the plugin's
        raise
    except BaseException as error:
        raise ValueError(f"plugin {specification}: {_reason(error)}") from error
    new = [name for name in dfa_core.registered_methods() if name not in before]
    if not new:
        raise ValueError(f"plugin {specification} registers no method: decorate a class with @dfa_core.register(name)")
    for name in new:
        wrong = problem_of_name("method", name) or _problem_of_choice(name)
        wrong = wrong or _problem_of_like(registration(name).like, new)
        if wrong := wrong or _problem_of_keywords(dfa_core.method_class(name)):
            raise ValueError(f"plugin {specification}: @dfa_core.register({name!r}): {wrong}")
    code = _code_of(module, [dfa_core.method_class(name) for name in new])
    for name in new:
        settings = {**_keywords(dfa_core.method_class(name)), "code": code}
        found = registration(name)
        needs = tuple(sorted(found.method.needs))
        add_method(
            MethodEntry(name, settings, found.title, found.colour, found.order, needs, found.standard, found.like)
        )
    _loaded.add(key)


def located(error: Exception) -> str:
    """The error's text; behind file and line where a plugin has raised it, or has called a library that did."""
    for frame, line in reversed(list(traceback.walk_tb(error.__traceback__))):
        module, file = frame.f_globals.get("__name__", ""), frame.f_code.co_filename
        if module.partition(".")[0] in ("benchmarks", "dfa_core", "datasets"):
            break
        if module in _loaded or str(Path(file).resolve()) in _loaded:
            return f"{file}, line {line}: {type(error).__name__}: {error}"
    return str(error)


def _problem_of_choice(name: str) -> str | None:
    """Such a name could not be chosen: the command line reads a number, true or null, or every method."""
    read = Overrides.of([f"method={name}"]).settings[0].values(lambda group: ())
    if name != "all" and read == [name]:
        return None
    return f"method={name} means something else on a command line; choose a word, such as '{name}_rule'"


def _problem_of_like(like: str, new: Sequence[str]) -> str | None:
    known = [*known_methods(), *new]
    return None if like in known else f"like={like!r}: no such method; did you mean {nearest(like, known)}?"


def _problem_of_keywords(method: type) -> str | None:
    """A keyword of such a name would be overwritten in the settings, and never reach the constructor."""
    taken = [key for key in _RESERVED if key in _keywords(method)]
    return f"a keyword may not be called {taken[0]}, which says what the method is; rename it" if taken else None


def _code_of(module: ModuleType, methods: Sequence[type]) -> str:
    """A hash of the plugin's files: the module's, all of a package, and those that its classes come from."""
    main = Path(module.__file__ or "")
    files = {path for folder in getattr(module, "__path__", ()) for path in Path(folder).rglob("*.py")}
    for base in (base for method in methods for base in method.__mro__):
        if base.__module__.partition(".")[0] not in ("dfa_core", "torch", "builtins", "abc", "typing"):
            files.add(Path(inspect.getsourcefile(base) or main))
    digest = hashlib.sha256(main.read_bytes())
    for path in sorted(files - {main}):
        digest.update(path.read_bytes())
    return digest.hexdigest()[:8]


def _import(specification: str) -> ModuleType:
    if not specification.endswith(".py"):
        try:
            return importlib.import_module(specification)
        except ModuleNotFoundError as error:
            raise ModuleNotFoundError(f"{error}; give a file ending in .py or a module name") from error
    path = Path(specification)
    if not path.is_file():
        raise FileNotFoundError("no such file")
    spec = importlib.util.spec_from_file_location(f"dfa_plugin_{path.stem}", path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


def _reason(error: BaseException) -> str:
    """The error and, if it came from code, where."""
    if isinstance(error, SyntaxError):
        return f"line {error.lineno}: {error.msg}" if error.lineno else str(error.msg)  # NUL has no line
    frames = [f for f in traceback.extract_tb(error.__traceback__) if f.filename != __file__ and f.name == "<module>"]
    where = f"line {frames[-1].lineno}: " if frames and not isinstance(error, ModuleNotFoundError) else ""
    if isinstance(error, SystemExit):
        return f"{where}it ends the program (sys.exit); a plugin must come to its end"
    kind = "" if isinstance(error, FileNotFoundError | ModuleNotFoundError) else f"{type(error).__name__}: "
    return f"{where}{kind}{error}"


def _keywords(method: type) -> dict[str, Any]:
    """Keyword-only arguments that a configuration can hold; others stay at the constructor's default."""
    found: dict[str, Any] = {}
    for parameter in inspect.signature(method.__init__).parameters.values():  # type: ignore[misc]
        if parameter.kind is not parameter.KEYWORD_ONLY or parameter.name == "feedback_seed":
            continue
        if parameter.default is parameter.empty:
            found[parameter.name] = MISSING
        elif parameter.default is None or isinstance(parameter.default, bool | int | float | str):
            found[parameter.name] = parameter.default
    return found
