"""Methods of the user's own: one file that calls ``dfa_core.register`` is enough."""

from __future__ import annotations

import hashlib
import importlib
import importlib.util
import inspect
import sys
from pathlib import Path
from typing import Any

from hydra.core.config_store import ConfigStore

_loaded: set[str] = set()


def load(specification: str) -> None:
    """Import ``specification`` (a ``.py`` file or a module name) and offer the methods it registers as `method=…`.

    Raises:
        ValueError: there is no such file or module, or it registers no method.
    """
    import dfa_core

    key = str(Path(specification).resolve()) if specification.endswith(".py") else specification
    if key in _loaded:
        return
    before = set(dfa_core.registered_methods())
    module = _import(specification)
    new = [name for name in dfa_core.registered_methods() if name not in before]
    if not new:
        raise ValueError(
            f"plugin {specification} registers no method: decorate a class with @dfa_core.register(name)"
        )
    source = Path(module.__file__ or "")
    code = hashlib.sha256(source.read_bytes()).hexdigest()[:8]  # an edited plugin is another configuration
    for name in new:
        settings = {"name": name, **_keywords(dfa_core.method_class(name)), "code": code}
        ConfigStore.instance().store(group="method", name=name, node=settings)
    _loaded.add(key)


def _import(specification: str) -> Any:
    if not specification.endswith(".py"):
        try:
            return importlib.import_module(specification)
        except ModuleNotFoundError as error:
            raise ValueError(
                f"plugin {specification}: {error}; give a file ending in .py or a module name"
            ) from error
    path = Path(specification)
    if not path.is_file():
        raise ValueError(f"plugin {specification}: no such file")
    spec = importlib.util.spec_from_file_location(f"dfa_plugin_{path.stem}", path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


def _keywords(method: type) -> dict[str, Any]:
    parameters = inspect.signature(method.__init__).parameters.values()
    return {
        p.name: p.default
        for p in parameters
        if p.kind is p.KEYWORD_ONLY and p.name != "feedback_seed" and p.default is not p.empty
    }
