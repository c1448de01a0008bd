"""Runs timed programs and keeps what they print. Shared by compare and curves; standard library only."""

import json
import os
import pathlib
import statistics
import subprocess
import sys
import time

BENCH = pathlib.Path(__file__).resolve().parent
DEFAULT_BUILD = BENCH.parent / "build-bench"


def say(text):
    print(text, file=sys.stderr, flush=True)


def busy_cores(seconds=0.5):
    """How many cores other processes keep busy just now."""

    def read():
        fields = [int(text) for text in pathlib.Path("/proc/stat").read_text().splitlines()[0].split()[1:9]]
        return sum(fields), fields[3] + fields[4]  # all, idle + waiting for disks

    total_before, idle_before = read()
    time.sleep(seconds)
    total, idle = read()
    share = 1.0 - (idle - idle_before) / max(1, total - total_before)
    return round(share * (os.cpu_count() or 1), 2)


def machine():
    """What a reader must know of the machine."""
    info = pathlib.Path("/proc/cpuinfo").read_text()
    model = next((line.split(":", 1)[1].strip() for line in info.splitlines() if line.startswith("model name")), "?")
    flags = next((line.split(":", 1)[1].split() for line in info.splitlines() if line.startswith("flags")), [])
    names = [name for name in ("avx2", "fma", "avx512f", "avx512_bf16", "amx_bf16") if name in flags]
    return {"cpu": model, "cores": os.cpu_count(), "instruction_sets": names}


class Failed(Exception):
    pass


def run_json(command, env=None, timeout=None):
    """The last JSON object that a program prints on stdout, with the time it took and how busy the machine was before."""
    words = [str(word) for word in command]
    busy = busy_cores()
    start = time.time()
    try:
        done = subprocess.run(words, capture_output=True, text=True, env={**os.environ, **(env or {})}, timeout=timeout)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise Failed(f"{pathlib.Path(words[0]).name}: {error}") from error
    lines = [line for line in done.stdout.splitlines() if line.startswith("{")]
    if done.returncode or not lines:
        last = (done.stderr.strip().splitlines() or ["no output"])[-1]
        raise Failed(f"{pathlib.Path(words[0]).name} ended with {done.returncode}: {last}")
    return {**json.loads(lines[-1]), "wall_s": round(time.time() - start, 1), "busy_cores_before": busy}


def median(values):
    return statistics.median(values)


def table(header, rows):
    """A Markdown table."""
    lines = ["| " + " | ".join(header) + " |", "|" + "---|" * len(header)]
    return "\n".join(lines + ["| " + " | ".join(str(cell) for cell in row) + " |" for row in rows])
