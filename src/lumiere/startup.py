"""Import diffusers without what it loads beside itself.

On import diffusers loads ``torch._dynamo`` (with sympy), peft, scipy, transformers, accelerate and the
modules of every model that it has, for the paths that need them. Generating a clip takes none of those paths,
and they are most of the time before the first step. Within :func:`light_imports`, which the CLI uses,
such an import is put off until what it imports is first used, so that all of diffusers still works. Importing
the package from Python is as ever, since other code of that process may use diffusers too.
"""

from __future__ import annotations

import builtins
import importlib
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib.machinery import ModuleSpec, PathFinder
from importlib.metadata import version
from types import ModuleType
from typing import Any, TypeVar

T = TypeVar("T")

#: packages whose import is put off, when one of IMPORTERS asks for it
DEFERRED = ("accelerate", "peft", "scipy", "torch._dynamo", "transformers")
#: The parts of diffusers that load them and seldom need them, and torch's decorators for its compiler.
IMPORTERS = (
    "diffusers.hooks",
    "diffusers.loaders",
    "diffusers.models",
    "diffusers.pipelines.pipeline_loading_utils",
    "diffusers.pipelines.pipeline_utils",
    "diffusers.quantizers",
    "diffusers.schedulers",
    "diffusers.utils",
    "torch.compiler",
)
#: packages that import all of their modules, though most imports are of one of them
SHELLS = ("diffusers.hooks", "diffusers.models.autoencoders", "diffusers.models.transformers")


class DeferredModule(ModuleType):
    """Stands for a module that is imported when something of it is used."""

    def __getattr__(self, name: str) -> Any:
        if name == "__version__":
            return version(self.__name__)
        if name.startswith("__"):
            raise AttributeError(name)
        return Deferred(self.__name__, name)


class Deferred:
    """Stands for a function, a class or a constant of a module that is imported when this is used.

    A class of a module that nothing has imported has no instances, so that ``isinstance`` imports nothing.
    """

    def __init__(self, module: str, name: str):
        self._module, self._name = module, name

    def _real(self) -> Any:
        module = importlib.import_module(self._module)
        try:
            return getattr(module, self._name)
        except AttributeError:
            return importlib.import_module(f"{self._module}.{self._name}")

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return getattr(self._real(), name)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return self._real()(*args, **kwargs)

    def __str__(self) -> str:
        return str(self._real())

    def __eq__(self, other: object) -> bool:
        return bool(self._real() == (other._real() if isinstance(other, Deferred) else other))

    def __hash__(self) -> int:
        return hash(self._real())

    def __instancecheck__(self, instance: Any) -> bool:
        return _is_loaded(self._module) and isinstance(instance, self._real())

    def __subclasscheck__(self, kind: Any) -> bool:
        return _is_loaded(self._module) and issubclass(kind, self._real())

    def __mro_entries__(self, bases: tuple[Any, ...]) -> tuple[Any, ...]:
        return (self._real(),)

    def __or__(self, other: Any) -> Any:  # in annotations
        return Any

    __ror__ = __or__


def _disable(function: Callable[..., Any] | None = None, *args: Any, **kwargs: Any) -> Any:
    """``torch._dynamo.disable`` for a function that nothing has compiled yet: it goes by this mark."""
    if function is None:
        return _disable
    function._torchdynamo_disable = True  # type: ignore[attr-defined]
    return function


def _allow_in_graph(kind: T) -> T:
    """``torch._dynamo.allow_in_graph``, as diffusers has it for a torch without a compiler."""
    return kind


class _Shell(ModuleType):
    """A package whose ``__init__`` runs when something is asked of the package itself."""

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        self.__class__ = ModuleType  # type: ignore[assignment]
        assert self.__spec__ is not None and self.__spec__.loader is not None
        self.__spec__.loader.real.exec_module(self)  # type: ignore[attr-defined]
        return getattr(self, name)


class _ShellLoader:
    def __init__(self, real: Any):
        self.real = real

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        return _Shell(spec.name)

    def exec_module(self, module: ModuleType) -> None:
        """Nothing yet."""


class _TorchUtilsLoader:
    """Loads ``diffusers.utils.torch_utils``, whose ``is_compiled_module`` would import torch's compiler."""

    def __init__(self, real: Any):
        self.real = real

    def create_module(self, spec: ModuleSpec) -> None:
        """As usual."""

    def exec_module(self, module: ModuleType) -> None:
        self.real.exec_module(module)
        ask: Callable[[Any], bool] = module.is_compiled_module

        def is_compiled_module(asked: Any) -> bool:
            return _is_loaded("torch._dynamo") and ask(asked)

        module.is_compiled_module = is_compiled_module  # type: ignore[attr-defined]


class _Finder:
    @staticmethod
    def find_spec(name: str, path: Any = None, target: Any = None) -> ModuleSpec | None:
        loader: Any = _ShellLoader if name in SHELLS else None
        if name == "diffusers.utils.torch_utils":
            loader = _TorchUtilsLoader
        if loader is None or (spec := PathFinder.find_spec(name, path)) is None:
            return None
        spec.loader = loader(spec.loader)
        return spec


def _is_loaded(name: str) -> bool:
    root = next((each for each in DEFERRED if _is_within(name, each)), name)
    return root in sys.modules


def _is_within(name: str, package: str) -> bool:
    return name == package or name.startswith(f"{package}.")


def _stand_in(name: str) -> DeferredModule:
    module = DeferredModule(name)
    if name == "torch._dynamo":
        module.allow_in_graph, module.disable = _allow_in_graph, _disable  # type: ignore[attr-defined]
    return module


@contextmanager
def light_imports() -> Iterator[None]:
    """Put off what diffusers imports beside itself, as far as it is imported in here for the first time."""
    real = builtins.__import__

    def light(
        name: str,
        globals: Mapping[str, Any] | None = None,
        locals: Mapping[str, Any] | None = None,
        fromlist: Sequence[str] | None = (),
        level: int = 0,
    ) -> ModuleType:
        if level == 0 and name.startswith(DEFERRED) and not _is_loaded(name):
            importer = (globals or {}).get("__name__", "")
            if any(_is_within(importer, each) for each in IMPORTERS):
                root = name.partition(".")[0]
                if fromlist or name == root:
                    return _stand_in(name)
                top = DeferredModule(root)
                if name == "torch._dynamo":
                    top._dynamo = _stand_in(name)  # type: ignore[attr-defined]
                return top
        return real(name, globals, locals, fromlist, level)

    finder: Any = _Finder()
    builtins.__import__ = light
    sys.meta_path.insert(0, finder)
    try:
        yield
    finally:
        sys.meta_path.remove(finder)
        if builtins.__import__ is light:
            builtins.__import__ = real
