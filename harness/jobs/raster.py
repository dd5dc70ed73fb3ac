"""A drawing as a PNG, by a program of this machine: none of ours draws pixels."""

import os
import shutil
import subprocess
from pathlib import Path
from tempfile import TemporaryDirectory
from xml.etree import ElementTree

from harness.errors import EnvironmentError_
from harness.files import write_whole

PIXELS = 2
"""Pixels for each unit of the drawing."""
_TIMEOUT_S = 60
_BROWSERS = ("chromium", "chromium-browser", "google-chrome", "chrome")
_QUIET = ("--headless", "--disable-gpu", "--hide-scrollbars", "--no-first-run")


def png_of(svg: str) -> bytes:
    """The PNG of a drawing that tells its width and height, `PIXELS` pixels a unit.

    Raises:
        EnvironmentError_: neither rsvg-convert nor a Chromium is here, or it draws nothing.
    """
    size = ElementTree.fromstring(svg)
    with TemporaryDirectory(prefix="harness-png-", ignore_cleanup_errors=True) as folder:
        drawing, picture = Path(folder) / "drawing.svg", Path(folder) / "drawing.png"
        write_whole(drawing, svg)
        command = _command(drawing, picture, size.attrib["width"], size.attrib["height"])
        said = _said(command, folder)
        try:
            return picture.read_bytes()
        except OSError as error:
            raise EnvironmentError_(
                f"{command[0]} drew no PNG: {said}", hint="--format svg needs no program"
            ) from error


def _command(drawing: Path, picture: Path, width: str, height: str) -> list[str]:
    if found := shutil.which("rsvg-convert"):
        return [found, f"--zoom={PIXELS}", f"--output={picture}", str(drawing)]
    found = next(filter(None, map(shutil.which, _BROWSERS)), None)
    if not found:
        raise EnvironmentError_(
            "no program that draws a PNG: neither rsvg-convert nor a Chromium is on PATH",
            hint="install one (Debian: librsvg2-bin, or chromium), or --format svg",
        )
    root = ["--no-sandbox"] if os.geteuid() == 0 else []  # Chromium's sandbox refuses root
    shot = [f"--window-size={width},{height}", f"--force-device-scale-factor={PIXELS}"]
    own = f"--user-data-dir={drawing.parent / 'profile'}"
    return [found, *_QUIET, *root, *shot, own, f"--screenshot={picture}", drawing.as_uri()]


def _said(command: list[str], folder: str) -> str:
    """What a program that failed said last; it must not read our input or outlive its minute."""
    try:
        done = subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=_TIMEOUT_S,
            cwd=folder,
            check=False,
        )
    except (OSError, subprocess.SubprocessError) as error:
        return str(error)
    return (done.stderr.strip().splitlines() or [f"exit {done.returncode}"])[-1]
