"""The command, as ``harness`` and as ``python -m harness``."""

import signal
import sys
from typing import NoReturn


def main() -> NoReturn:
    """Load the command line and play it; a Ctrl-C while it loads is one message, as any later."""
    try:
        from harness.cli import main as play

        play()
    except KeyboardInterrupt:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        from harness.errors import Interrupted

        if sys.stderr is not None:
            sys.stderr.write(f"{Interrupted.told}\n")
        sys.exit(Interrupted.exit_code)


if __name__ == "__main__":
    main()
