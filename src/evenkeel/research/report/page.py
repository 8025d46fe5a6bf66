"""The dict of figures as one HTML page: no script, no font, nothing fetched."""

from __future__ import annotations

import os
from collections.abc import Mapping
from html import escape
from importlib.resources import files
from pathlib import Path
from string import Template
from typing import Any

import orjson

from evenkeel.errors import UsageError
from evenkeel.research.report.charts import draw, number

_TEXT = ' class="text"'
_WORDS = ' class="words"'
_DENSE = ' class="dense"'
MOST_COLUMNS = 8


def render(document: Mapping[str, Any]) -> str:
    """The page; its element `document` holds the same document as JSON."""
    template = Template((files("evenkeel.research.report") / "page.html").read_text(encoding="utf-8"))
    figures = orjson.dumps(document, option=orjson.OPT_SORT_KEYS).decode()
    body = [f"<h1>{escape(document['title'])}</h1>", f'<p class="soft">{escape(document["subtitle"])}</p>']
    body.append(_verdict(document["verdict"]))
    body += [_section(section) for section in document["sections"]]
    body.append(_facts(document["facts"]))
    return template.substitute(
        title=escape(document["title"]), body="\n".join(body), figures=figures.replace("<", "\\u003c")
    )


def write(document: Mapping[str, Any], path: Path) -> None:
    """The page as a file, whole or not at all. Raises UsageError where it cannot be written."""
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        draft.write_text(render(document), encoding="utf-8")
        draft.replace(path)
    except OSError as error:
        raise UsageError(f"cannot write the report {path}: {error.strerror}; choose another path") from error


def _verdict(verdict: Mapping[str, Any]) -> str:
    items = "".join(
        f'<li><span class="word {escape(item["word"])}">{escape(head)}</span>{escape(colon + rest)}</li>'
        for item in verdict["items"]
        for head, colon, rest in [item["sentence"].partition(":")]
    )
    notes = "".join(f"<p>{escape(note)}</p>" for note in verdict["notes"])
    return f'<div class="verdict"><p>{escape(verdict["line"])}</p>{notes}<ul>{items}</ul></div>'


def _section(section: Mapping[str, Any]) -> str:
    parts = [f'<section id="{section["id"]}"><h2>{escape(section["title"])}</h2>']
    if section["absent"]:
        parts.append(f'<p class="absent">not measured: {escape(section["absent"])}</p>')
    parts += [f"<p>{escape(note)}</p>" for note in section["notes"]]
    parts += [_figure(chart) for chart in section["charts"]]
    parts += [_table(table) for table in section["tables"]]
    return "".join([*parts, "</section>"])


def _figure(chart: Mapping[str, Any]) -> str:
    names = [series["name"] for series in chart.get("series", ())]
    keys = "".join(
        f'<li><svg viewBox="0 0 30 10" aria-hidden="true"><path class="line c{i % 8}" d="M0 5L30 5"/></svg>'
        f"{escape(name)}</li>"
        for i, name in enumerate(names)
    )
    legend = f'<ul class="legend">{keys}</ul>' if names else ""
    caption = f"<figcaption><h3>{escape(chart['title'])}</h3><p>{escape(chart['finding'])}</p></figcaption>"
    return f"<figure>{caption}{legend}{draw(chart)}</figure>"


def _table(table: Mapping[str, Any]) -> str:
    heads = "".join(
        f'<th scope="col"{_TEXT if column["unit"] == "text" else ""}>{_unbroken(column["name"])}</th>'
        for column in table["columns"]
    )
    units = table.get("row_units") or [None] * len(table["rows"])
    rows = "".join(
        f'<tr><th scope="row">{escape(str(row[0]))}</th>'
        + "".join(
            _cell(value, unit or column, column, heat=table.get("heat", 0.0))
            for value, column in zip(row[1:], table["columns"][1:], strict=True)
        )
        + "</tr>"
        for row, unit in zip(table["rows"], units, strict=True)
    )
    label = f'aria-label="{escape(table["caption"], quote=True)}"'
    dense = _DENSE if len(table["columns"]) > MOST_COLUMNS else ""
    return (
        f'<p class="caption">{escape(table["caption"])}</p><div class="scroll" tabindex="0" role="region" {label}>'
        f"<table {label}{dense}><thead><tr>{heads}</tr></thead><tbody>{rows}</tbody></table></div>"
    )


def _unbroken(name: str) -> str:
    """A head that breaks at spaces only."""
    return escape(name).replace("-", "&#8209;")


def _cell(value: Any, said: Mapping[str, Any], column: Mapping[str, Any], *, heat: float) -> str:
    if said["unit"] == "text":
        return f"<td{_TEXT if column['unit'] == 'text' else _WORDS}>{escape(str(value))}</td>"
    if value is not None and heat:
        strength = min(abs(value) / heat, 1.0) * 0.45
        colour = "--heatplus" if value > 0 else "--heatminus"
        shade = f' style="background:rgba(var({colour}),{strength:.2f})"'
    else:
        shade = ""
    words = number(value, said["unit"], said.get("digits"))
    return f"<td{shade}>{words}</td>"


def _facts(facts: Mapping[str, str]) -> str:
    rows = "".join(f"<dt>{escape(name)}</dt><dd>{escape(value)}</dd>" for name, value in facts.items())
    return f'<section id="facts"><h2>Where this comes from</h2><dl>{rows}</dl></section>'
