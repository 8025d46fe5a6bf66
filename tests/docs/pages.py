"""What the documentation says, as data: pages, fenced commands, links."""

from __future__ import annotations

import re
import shlex
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PAGES = tuple(sorted((*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"))))
_FENCE = re.compile(r"^```sh\n(.*?)^```$", re.DOTALL | re.MULTILINE)
_ANY_FENCE = re.compile(r"^```.*?^```$", re.DOTALL | re.MULTILINE)
_LINK = re.compile(r"\]\(([^)\s]+)\)")
_INLINE = re.compile(r"`(evenkeel [^`]+)`")


@dataclass(frozen=True)
class Line:
    """One command line of a page."""

    page: str
    text: str

    @property
    def words(self) -> list[str]:
        """Its words, without the comment and `sudo [-u USER]`."""
        words = shlex.split(self.text, comments=True)
        if words[:1] == ["sudo"]:
            words = words[3:] if words[1] == "-u" else words[1:]
        return words

    def __str__(self) -> str:
        return f"{self.page}: {self.text}"


def name(page: Path) -> str:
    """A page's path inside the repository."""
    return page.relative_to(ROOT).as_posix()


def text(*paths: str) -> str:
    """The content of pages, one after the other."""
    return "\n".join((ROOT / path).read_text(encoding="utf-8") for path in paths)


def commands() -> list[Line]:
    """Every line of every block that is marked `sh`."""
    found = []
    for page in PAGES:
        for block in _FENCE.findall(page.read_text(encoding="utf-8")):
            found += [Line(name(page), line.strip()) for line in block.splitlines() if line.strip()]
    return found


def inline() -> list[Line]:
    """Every `evenkeel ...` in running text that can be parsed: without placeholders."""
    found = []
    for page in PAGES:
        prose = _ANY_FENCE.sub("", page.read_text(encoding="utf-8"))
        found += [Line(name(page), code) for code in _INLINE.findall(prose) if not re.search(r"[A-Z…|]{3,}|…", code)]
    return found


def links() -> list[tuple[Path, str]]:
    """(page, target) of every link inside the repository."""
    return [
        (page, target)
        for page in PAGES
        for target in _LINK.findall(_ANY_FENCE.sub("", page.read_text(encoding="utf-8")))
        if "://" not in target
    ]


def anchors(page: Path) -> set[str]:
    """The anchors of a page's headings, as forges make them."""
    heads = re.findall(r"^#+ (.*)$", _ANY_FENCE.sub("", page.read_text(encoding="utf-8")), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", head.lower().replace("`", "")).strip().replace(" ", "-") for head in heads}
