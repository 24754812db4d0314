"""Find images and labels that a person should look at: copies, wrong labels, dark, blurred or tiny images."""

import json

import pandas as pd

from reprocnn.commands.audit import labels
from reprocnn.commands.audit.findings import KINDS, Audited, Finding, read_data, to_json
from reprocnn.data.picture_sizes import odd_sizes
from reprocnn.data.quality import poor_images
from reprocnn.evaluation.labelled_copies import labelled_copies
from reprocnn.params import DownloadParams, load_params


def audit(as_json: bool, train: bool, limit: int) -> None:
    """Audit the downloaded data set, print the findings, and write reports/audit.html.

    Args:
        as_json: print a JSON object per finding and write no page.
        train: whether to train the nets that find wrong labels of training images.
        limit: how many findings of each kind to print.

    Raises:
        UserError: download did not run.
    """
    data = read_data()
    findings = find(data, train)
    if as_json:
        for finding in findings:
            print(json.dumps(to_json(data, finding), ensure_ascii=False))
        return
    _print(data, findings, limit)
    from reprocnn.commands.audit import page  # takes a second

    page.write_page(data, findings)
    print(f"wrote {page.PAGE}: tick images there to leave them out or to change their labels")


def find(data: Audited, train: bool) -> list[Finding]:
    """Return all findings, sorted by kind as in `KINDS`, then the most likely first."""
    parts = [split.images for split in data.splits]
    offsets = (0, len(parts[0]))
    findings = _copies(data)
    findings += labels.wrong_labels(data, train)
    for images, offset in zip(parts, offsets, strict=True):
        findings += _of_single_images(poor_images(images), offset)
    params = load_params(DownloadParams)
    if params.dataset == "folder":
        findings += _of_single_images(odd_sizes(params, data.files), 0)
    order = list(KINDS)
    return sorted(findings, key=lambda found: (order.index(found.kind), -found.score, found.rows))


def _copies(data: Audited) -> list[Finding]:
    """Return a finding per pair of copies."""
    findings: list[Finding] = []
    pairs = labelled_copies(data.copies, data.files, data.labels)
    for first, second, kind, similarity, reason in pairs.itertuples(index=False):
        splits = dict.fromkeys(data.split[row] for row in (first, second))
        reason += f", in {' and '.join(splits)}"
        if kind == "conflict":
            reason += f", labelled {data.label(first)} and {data.label(second)}"
        findings.append(Finding(kind, (first, second), float(similarity), reason))
    return findings


def _of_single_images(table: pd.DataFrame, offset: int) -> list[Finding]:
    """Return a finding per row of a table with the columns row, kind, score and reason."""
    rows = table[["row", "kind", "score", "reason"]].itertuples(index=False)
    return [Finding(kind, (int(row) + offset,), float(score), reason) for row, kind, score, reason in rows]


def _print(data: Audited, findings: list[Finding], limit: int) -> None:
    """Print the findings of each kind, at most `limit` of them."""
    print(f"{data.name}: {len(findings)} findings in {len(data.files)} images")
    for kind, what in KINDS.items():
        found = [finding for finding in findings if finding.kind == kind]
        if not found:
            continue
        print(f"\n{kind} ({len(found)}): {what}")
        for finding in found[:limit]:
            files = " = ".join(data.files[row] for row in finding.rows)
            print(f"  {finding.score:.2f}  {files}: {finding.reason}")
        if len(found) > limit:
            print(f"  and {len(found) - limit} more")
