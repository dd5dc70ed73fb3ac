"""A stand-in for a server that is hard to end: not vLLM, only a tree of processes.

Prints its own process id and its child's. The child has a session of its own and ignores SIGTERM,
as an engine process might. ``stubborn`` makes the parent ignore SIGTERM too.
"""

import os
import signal
import subprocess
import sys
import time

CHILD = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); time.sleep(600)"

if "stubborn" in sys.argv[1]:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
child = subprocess.Popen([sys.executable, "-c", CHILD], start_new_session=True)
print(f"pids {os.getpid()} {child.pid}", flush=True)
if "leaves" in sys.argv[1]:
    sys.exit(7)
time.sleep(600)
