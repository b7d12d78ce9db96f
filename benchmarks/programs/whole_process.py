"""A command from its start to its end, as `/usr/bin/time -v` sees it: wall time, and the peak that `wait4` tells.

Argument: {"command": words}. Answer: {"wall_ns", "told_ns": until the last of its standard output, "cpu_ns": of the
process, "maxrss": bytes, "output": that output}. Small, so that what the kernel counts before the command's own program
is loaded is in no figure.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time


def main() -> None:
    """Runs it, and prints what was seen. Exits with its code where that is not 0."""
    command = json.loads(sys.argv[1])["command"]
    told, told_ns = b"", 0
    began_ns = time.perf_counter_ns()
    # Not a context: it would reap the process, and its usage with it.
    process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE)
    assert process.stdout is not None
    while piece := os.read(process.stdout.fileno(), 1 << 16):
        told += piece
        told_ns = time.perf_counter_ns() - began_ns
    _, status, usage = os.wait4(process.pid, 0)
    wall_ns = time.perf_counter_ns() - began_ns
    if status:
        sys.exit(f"{command[0]} ended with status {os.waitstatus_to_exitcode(status)}")
    cpu_ns = round((usage.ru_utime + usage.ru_stime) * 1e9)
    answer = {"wall_ns": wall_ns, "told_ns": told_ns, "cpu_ns": cpu_ns, "maxrss": usage.ru_maxrss * 1024}
    print(json.dumps({**answer, "output": told.decode("utf-8", "replace")}))


if __name__ == "__main__":
    main()
