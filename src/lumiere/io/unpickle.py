"""The program of the process that reads a pickle: ``python -m lumiere.io.unpickle FILE OUT LIMITS``.

It first gives up the network and most of the machine, and only then reads. What it found, or why it stopped,
is one JSON object on its output. :mod:`lumiere.io.pickles` starts it.
"""

from __future__ import annotations

import ctypes
import json
import os
import re
import socket
import sys
from typing import Any, NoReturn

_CLONE_NEWUSER, _CLONE_NEWNET = 0x10000000, 0x40000000
_NO_NEW_PRIVILEGES = 38
#: what a checkpoint of a trainer keeps its weights under
STATE = "state_dict"
#: plain values beside the weights are left out; anything that could hold code is never made
PLAIN = (bool, int, float, str, bytes, type(None))


def give_up_rights(limits: dict[str, int]) -> None:
    """Leave the network and limit this process. Linux alone has namespaces; elsewhere no socket is made."""
    if os.name == "posix":
        import resource

        for name, limit in limits.items():
            kind = getattr(resource, name)
            _, most = resource.getrlimit(kind)
            limit = limit if most == resource.RLIM_INFINITY else min(limit, most)
            resource.setrlimit(kind, (limit, limit))
    if sys.platform == "linux":
        libc = ctypes.CDLL(None, use_errno=True)
        libc.prctl(_NO_NEW_PRIVILEGES, 1, 0, 0, 0)
        if libc.unshare(_CLONE_NEWUSER | _CLONE_NEWNET):  # where users may not: in a container, as root
            libc.unshare(_CLONE_NEWNET)

    def refused(*_: Any, **__: Any) -> NoReturn:
        raise OSError("no network here")

    socket.socket.connect = socket.socket.connect_ex = socket.socket.sendto = refused  # type: ignore[method-assign]


def read(path: str) -> tuple[dict[str, Any], list[str]]:
    """Tensors by their names, and the names of what was left out beside them.

    Raises:
        ValueError: the file is no whole pickle, or holds something else than tensors; the message says what.
    """
    import pickle

    import torch
    from torch import Tensor

    try:
        found = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise ValueError(_reason(str(error))) from None
    except (RuntimeError, EOFError, OSError, ValueError, KeyError, AttributeError, TypeError) as error:
        raise ValueError(f"it is not a whole PyTorch file: {_first_line(error)}") from None
    if not isinstance(found, dict):
        raise ValueError(f"it holds a {type(found).__name__} and not tensors by their names")
    left_out = []
    if isinstance(found.get(STATE), dict):
        left_out = sorted(str(name) for name in found if name != STATE)
        found = found[STATE]
    tensors, others = {}, []
    for name, value in found.items():
        if isinstance(value, Tensor) and isinstance(name, str):
            if value.layout is not torch.strided or value.is_quantized:
                raise ValueError(f"{name} is a sparse or quantized tensor; save it as a plain one")
            tensors[name] = value
        elif isinstance(value, PLAIN):
            left_out.append(str(name))
        else:
            others.append(f"{name}, a {type(value).__name__}")
    if others:
        raise ValueError(f"besides tensors it holds {'; '.join(sorted(others)[:3])}")
    if not tensors:
        raise ValueError("it holds no tensors")
    # Of tensors that share their memory each is stored by itself, as safetensors wants it.
    return {name: value.contiguous().clone() for name, value in tensors.items()}, left_out


def _reason(message: str) -> str:
    named = re.search(r"GLOBAL (\S+)", message) or re.search(r"Unsupported (?:class|global):? (\S+)", message)
    if named:
        return f"it holds {named[1].rstrip('.,')}, which is no tensor"
    reason = _first_line(message.rpartition("WeightsUnpickler error:")[2])
    return f"it is not a whole PyTorch file of tensors: {reason}"


def _first_line(error: object) -> str:
    lines = str(error).strip().splitlines() or [type(error).__name__]
    return lines[0][:200]


def main() -> None:
    path, out, limits = sys.argv[1:]
    give_up_rights(json.loads(limits))
    try:
        tensors, left_out = read(path)
        from safetensors.torch import save_file

        save_file(tensors, out, {"format": "pt"})
        said: dict[str, Any] = {"tensors": len(tensors), "left_out": left_out}
    except ValueError as error:
        said = {"error": str(error)}
    except (MemoryError, RuntimeError):
        said = {"error": "its tensors need more memory than a file of its size should"}
    except OSError as error:
        said = {"failed": os.strerror(error.errno) if error.errno else str(error)}
    print(json.dumps(said))


if __name__ == "__main__":
    main()
