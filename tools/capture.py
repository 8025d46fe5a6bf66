"""Terminal captures for the documentation: runs commands in a pseudo-terminal and keeps what a person would see.

    python tools/capture.py            plays the demo in `.demo`, prints its capture, writes docs/img/why.svg

Paste the printed text into README.md; `tests/docs` compares its labels and slot counts with a run of its own.
"""

from __future__ import annotations

import io
import os
import pty
import re
import subprocess
import sys
from pathlib import Path

from rich.console import Console
from rich.text import Text

ROOT = Path(__file__).resolve().parents[1]
BIN = Path(sys.executable).parent
DEMO = ["--home", ".demo", "run", "--config", "config/demo.yaml"]
WHY = ["--home", ".demo", "why", "BTC"]
WIDTH = 100


def seen(words: list[str]) -> str:
    """What `evenkeel WORDS` leaves on a terminal of WIDTH columns, colours included."""
    main, side = pty.openpty()
    environ = {**os.environ, "COLUMNS": str(WIDTH), "LINES": "60", "TERM": "xterm-256color"}
    process = subprocess.Popen([BIN / "evenkeel", *words], cwd=ROOT, stdout=side, stderr=side, env=environ)  # noqa: S603
    os.close(side)
    raw = b""
    while True:
        try:
            chunk = os.read(main, 65_536)
        except OSError:
            break
        if not chunk:
            break
        raw += chunk
    if process.wait():
        raise SystemExit(raw.decode())
    return "\n".join(_final(line) for line in raw.decode().replace("\r\n", "\n").split("\n"))


def _final(line: str) -> str:
    """What is left of a line that was rewritten in place."""
    last = line.rsplit("\x1b[2K", maxsplit=1)[-1]
    return re.sub(r"\x1b\[\?25[lh]|\x1b\[\d*A|\r", "", last)


def picture(text: str, command: str, path: Path) -> None:
    """Draw a capture as SVG that needs no font from the network."""
    console = Console(record=True, width=WIDTH, file=io.StringIO(), highlight=False)
    console.print(Text(f"$ {command}", style="bold"))
    console.print(Text.from_ansi(text.rstrip()))
    drawn = console.export_svg(title="evenkeel")
    path.write_text(re.sub(r"@font-face \{.*?\}\s*", "", drawn, flags=re.DOTALL))


if __name__ == "__main__":
    sys.stdout.write(Text.from_ansi(seen(DEMO)).plain + "\n")
    picture(seen(WHY), "evenkeel " + " ".join(WHY), ROOT / "docs" / "img" / "why.svg")
