"""Whom both sides ask how good an actor is: a process of its own, evenkeel's `rl_books.py judge`. Needs numpy only."""

import json
import subprocess
import time
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np


class Judge:
    """Started when it is first asked. seconds  how long asking has taken, its start and end included."""

    def __init__(self, command):
        self.command, self.seconds, self.process = command, 0.0, None
        self.folder = TemporaryDirectory()

    def __call__(self, layers):
        """The score of layers, (weight (out, in), bias (out,)) each."""
        began = time.perf_counter()
        if self.process is None:
            self.process = subprocess.Popen(self.command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        path = Path(self.folder.name) / "actor.npz"
        numbered = list(enumerate(layers))
        np.savez(path, **{f"weight{i}": x for i, (x, _) in numbered}, **{f"bias{i}": x for i, (_, x) in numbered})
        self.process.stdin.write(f"{path}\n")
        self.process.stdin.flush()
        score = json.loads(self.process.stdout.readline())
        self.seconds += time.perf_counter() - began
        return score

    def close(self):
        """Let it go."""
        began = time.perf_counter()
        if self.process is not None:
            self.process.stdin.close()
            self.process.wait()
        self.folder.cleanup()
        self.seconds += time.perf_counter() - began
