"""Where things lie on this machine: what ships and is no code, and the user's cache.

In a checkout what ships lies at the root; a wheel carries the same tree in ``harness/share``.
"""

import errno
import os
from pathlib import Path
from typing import Final

PACKAGED: Final = "packaged:"
"""In front of a path of a run spec that ships with the harness."""
ENGINE: Final = "engine:"
"""In front of a path in the CPU engine's environment."""
_PACKAGE: Final = Path(__file__).resolve().parent
_SHARE: Final = _PACKAGE / "share"


def shipped(name: str) -> Path:
    """A file or folder that ships with the harness, there or not; ``name`` as in a checkout."""
    inside = _PACKAGE / name
    return inside if inside.exists() else (_SHARE if _SHARE.is_dir() else _PACKAGE.parent) / name


def user_cache() -> Path:
    """The folder of this user's caches: ``XDG_CACHE_HOME``, else ``~/.cache``.

    Raises:
        FileNotFoundError: this user has no home, as in a container under a number of its own.
    """
    try:
        return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache").expanduser()
    except RuntimeError as error:
        why = "there is none; set HOME or XDG_CACHE_HOME"
        raise FileNotFoundError(errno.ENOENT, why, "the home folder of this user") from error


def engine_folder() -> Path:
    """The CPU engine's environment, there or not.

    ``HARNESS_ENGINE``, in a checkout ``.venv-cpu``, else ``harness/engine`` in the user's cache.
    """
    if named := os.environ.get("HARNESS_ENGINE"):
        return Path(named).expanduser().absolute()
    return user_cache() / "harness/engine" if _SHARE.is_dir() else _PACKAGE.parent / ".venv-cpu"


def is_of_engine(program: str) -> bool:
    """Whether a server's program is the CPU engine's."""
    return Path(program).absolute().is_relative_to(engine_folder().absolute())


def placed(path: str) -> str:
    """A path of a run spec as one of this machine, short where it lies below this folder."""
    if path.startswith(PACKAGED):
        full = shipped(path.removeprefix(PACKAGED))
    elif path.startswith(ENGINE):
        full = engine_folder() / path.removeprefix(ENGINE)
    else:
        return path
    return str(full.relative_to(Path.cwd()) if full.is_relative_to(Path.cwd()) else full)
