"""Where things lie on this machine: what ships and is no code, and the user's cache.

In a checkout what ships lies at the root; a wheel carries the same tree in ``harness/share``.
"""

import errno
import os
from functools import cache
from hashlib import sha256
from pathlib import Path
from typing import Final

PACKAGED: Final = "packaged:"
"""In front of a path of a run spec that ships with the harness."""
ENGINE: Final = "engine:"
"""In front of a path in the CPU engine's environment."""
_PACKAGE: Final = Path(__file__).resolve().parent
_SHARE: Final = _PACKAGE / "share"
_OF_ENGINE: Final = (
    *("engine/install.sh", "engine/requirements.lock"),
    *("plugin/pyproject.toml", "plugin/*/*.py"),
)
"""What an engine is made of, below ``docker/cpu``; another one is another engine."""


def archive() -> Path | None:
    """The file that the harness is imported out of, such as a wheel that was not installed."""
    return next((place for place in _PACKAGE.parents if place.is_file()), None)


def shipped(name: str) -> Path:
    """A file or folder that ships with the harness, there or not; ``name`` as in a checkout."""
    inside = _PACKAGE / name
    return inside if inside.exists() else (_SHARE if _SHARE.is_dir() else _PACKAGE.parent) / name


def user_cache() -> Path:
    """The folder of this user's caches: ``XDG_CACHE_HOME``, else ``~/.cache``.

    The specification of the variable has a path that is not absolute ignored.

    Raises:
        FileNotFoundError: as `from_home`.
    """
    named = Path(os.environ.get("XDG_CACHE_HOME", ""))
    return named if named.is_absolute() else from_home("~/.cache")


def from_home(path: str, variable: str = "") -> Path:
    """A path whose ``~`` in front is the user's home, or whose ``~name`` is that of another.

    Args:
        path: as it was given.
        variable: the one that it was given in.

    Raises:
        FileNotFoundError: there is no such user, or this one has no home, as in a container under
            a number of its own.
    """
    try:
        return Path(path).expanduser()
    except RuntimeError as error:
        given = f"{variable}={path}" if variable else path
        if user := Path(path).parts[0].removeprefix("~"):
            why = f"no user is called '{user}' here; name the folder by its whole path"
            raise FileNotFoundError(errno.ENOENT, why, given) from error
        why = f"there is none; set HOME or {variable or 'XDG_CACHE_HOME'}"
        raise FileNotFoundError(errno.ENOENT, why, "the home folder of this user") from error


def engine_folder() -> Path:
    """The CPU engine's environment, there or not.

    ``HARNESS_ENGINE``, in a checkout ``.venv-cpu``, else one below ``harness`` in the user's cache
    that no version of the harness with another engine takes for its own.
    """
    if named := os.environ.get("HARNESS_ENGINE"):
        return from_home(named, "HARNESS_ENGINE").absolute()
    if not _SHARE.is_dir():
        return _PACKAGE.parent / ".venv-cpu"
    return user_cache() / f"harness/engine-{_engine_mark(_SHARE / 'docker/cpu')}"


@cache
def _engine_mark(parts: Path) -> str:
    files = [file for pattern in _OF_ENGINE for file in sorted(parts.glob(pattern))]
    return sha256(b"".join(file.read_bytes() for file in files)).hexdigest()[:8]


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
