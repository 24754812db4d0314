"""Write the page on which a person looks at the findings of an audit and ticks what to change."""

from itertools import groupby
from pathlib import Path
from typing import Any

from reprocnn.artifacts.files import write_bytes
from reprocnn.commands.audit.findings import KINDS, Audited, Finding
from reprocnn.reporting.pages import render
from reprocnn.reporting.thumbnails import data_uri

PAGE = Path("reports/audit.html")
_MOST = 200
"""Findings of a kind that the page shows."""


def write_page(data: Audited, findings: list[Finding]) -> None:
    """Write reports/audit.html, one file that needs no network.

    Args:
        data: the audited data set.
        findings: sorted by kind.
    """
    parts = [_part(data, kind, list(found)) for kind, found in groupby(findings, lambda found: found.kind)]
    title = f"Audit of {data.name}"
    text = render("audit.html", {}, title=title, name=data.name, n=len(data.files), total=len(findings), parts=parts)
    write_bytes(PAGE, text.encode("utf-8", "replace"))


def _part(data: Audited, kind: str, findings: list[Finding]) -> dict[str, Any]:
    """Return what the template shows of the findings of one kind."""
    shown = [_shown(data, finding) for finding in findings[:_MOST]]
    return {"kind": kind, "what": KINDS[kind], "total": len(findings), "findings": shown}


def _shown(data: Audited, finding: Finding) -> dict[str, Any]:
    images = [
        {
            "uri": data_uri(data.image(row)),
            "file": data.files[row],
            "split": str(data.split[row]),
            "label": data.label(row),
        }
        for row in finding.rows
    ]
    return {"images": images, "reason": finding.reason, "score": finding.score, "suggested": finding.suggested}
