"""The report as one HTML page: nothing is loaded from anywhere, it prints, and it reads in the dark.

Made of the JSON document alone, so it cannot say anything else than what was signed.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal
from html import escape
from importlib.resources import files
from string import Template
from typing import Any

from neonctl import __version__
from neonctl.errors import NeonctlError

_RESULT = {True: ("good", "✓ held"), False: ("bad", "✗ failed"), None: ("soft", "not tried")}
_NONE = '<p class="soft">None.</p>'


def report_name(report: Mapping[str, Any]) -> str:
    """What the report's files are called, without their suffix."""
    moment = report["ended_at"][:19].replace("-", "").replace(":", "")
    return f"obr-drill-{report['target']['environment']}-{moment}Z"


def page(report: Mapping[str, Any], *, sha256: str, key_id: str) -> str:
    """``report``: ``Drill.document()``, signed with the key ``key_id`` in a file that has ``sha256``."""
    template = Template(files("neonctl.banking.drills").joinpath("page.html").read_text(encoding="utf-8"))
    environment = escape(report["target"]["environment"])
    return template.substitute(
        title=f"Open Bank Resolution drill, {environment}, {escape(report['ended_at'][:10])}",
        environment=environment,
        when=f"{_moment(report['started_at'])} to {_moment(report['ended_at'])} · "
        f"drill <code>{escape(report['drill_id'])}</code>",
        verdict=_verdict(report),
        cards=_cards(report),
        story=_story(report),
        timeline=_timeline(report["phases"], report["activation_parts_ms"]),
        sums=_sums(report["sums"]),
        proofs=_proofs(report["proofs"]),
        probes=_probes(report["probes"]),
        rounding=_list(report["rounding"]),
        real_keys=_real_keys(report["real_keys"]),
        depositors=_depositors(report["depositor_compensation"], report["parameters"]),
        provenance=_provenance(report, sha256, key_id),
    )


def check_page(html: str, report: Mapping[str, Any], *, sha256: str, key_id: str, name: str) -> None:
    """Refuse a page, the contents of the file ``name``, that is not the one of this report.

    Raises ``NeonctlError`` REPORT_PAGE_ALTERED.
    """
    if html != page(report, sha256=sha256, key_id=key_id):
        raise NeonctlError(
            "REPORT_PAGE_ALTERED",
            f"{name} is not the page of this report",
            hint=f"the signed document counts; the page was made by {report['program']}, this is neonctl {__version__}",
        )


def _verdict(report: Mapping[str, Any]) -> str:
    proofs = [*report["proofs"], *(each for each in report["probes"] if each["ok"] is not None)]
    failed = [each for each in proofs if not each["ok"]]
    if report["failure"] is not None:
        code, message = (escape(report["failure"][key]) for key in ("code", "message"))
        return _box("failed", "Failed", f"The drill was stopped: {message} (<code>{code}</code>).")
    if failed:
        named = "; ".join(escape(each["statement"]) for each in failed)
        return _box("failed", "Failed", f"{len(failed)} of {len(proofs)} statements did not hold: {named}.")
    said = f"All {len(proofs)} statements held. The environment itself was only read."
    if report["real_keys"] is not None and report["real_keys"]["gaps"]:
        said += " Its own keys are not ready for the day: see below."
    return _box("", "Passed", said)


def _box(kind: str, word: str, said: str) -> str:
    return f'<div class="verdict {kind}"><strong>{word}.</strong> {said}</div>'


def _cards(report: Mapping[str, Any]) -> str:
    took = {phase["name"]: phase["took_ms"] for phase in report["phases"]}
    shown = [("haircut", _percent(report["parameters"]["haircut"]))]
    if report["sums"]:
        shown.append(("customer accounts split", f"{sum(each['accounts'] for each in report['sums']):,}"))
    for name, label in (("activate", "to activate"), ("unwind", "to unwind")):
        if name in took:
            shown.append((label, _duration(took[name])))
    shown += [(f"{each['currency']} frozen", _money(each["frozen"])) for each in report["sums"]]
    cards = "".join(f'<div class="card"><b>{value}</b><span>{escape(label)}</span></div>' for label, value in shown)
    return f'<div class="cards">{cards}</div>'


def _story(report: Mapping[str, Any]) -> str:
    target, asked = report["target"], report["parameters"]
    release = "" if asked["release_percent"] is None else f", a release of {escape(asked['release_percent'])} %"
    text = (
        f"An instant copy of <code>{escape(target['database'])}</code> of {escape(target['environment'])} was made, "
        f"which was <code>{escape(target['state'])}</code>. On that copy the resolution officer's role registered "
        f"keys that lived in memory only ({escape(asked['authority'])}), activated a resolution by an instruction "
        f"signed with them, with a haircut of {_percent(asked['haircut'])} and a de minimis amount of "
        f"{_money(asked['de_minimis'])}{release}, and unwound it. The copy was deleted afterwards."
    )
    return f"<p>{text}</p>" + (_list(report["notes"]) if report["notes"] else "")


def _timeline(phases: Sequence[Mapping[str, Any]], parts: Mapping[str, int]) -> str:
    if not phases:
        return _NONE
    whole = max(1, *(phase["started_ms"] + phase["took_ms"] for phase in phases))
    rows: list[str] = []
    for phase in phases:
        start, width = phase["started_ms"] * 1000 / whole, max(3.0, phase["took_ms"] * 1000 / whole)
        said = f"{phase['title']}: {_duration(phase['took_ms'])}, after {_duration(phase['started_ms'])}"
        rows.append(
            f'<span class="label">{escape(phase["title"])}</span>'
            f'<svg viewBox="0 0 1000 16" preserveAspectRatio="none" role="img" aria-label="{escape(said)}">'
            f'<rect x="{min(start, 997):.1f}" y="2" width="{width:.1f}" height="12" rx="1"/></svg>'
            f'<span class="number">{_duration(phase["took_ms"])}</span>'
        )
    said = f"{_duration(whole)} in all."
    if parts:
        named = (f"{escape(name.replace('_', ' '))} {_duration(took)}" for name, took in parts.items())
        said += f" Of the activation, by the database's own clock: {', '.join(named)}."
    return f'<div class="timeline">{"".join(rows)}</div><p class="soft">{said}</p>'


def _sums(sums: Sequence[Mapping[str, Any]]) -> str:
    if not sums:
        return _NONE
    head = ("Currency", "Accounts", "Joint", "At or below zero", "Balance", "Frozen", "Available")
    rows = [
        [
            escape(each["currency"]),
            *(f"{each[name]:,}" for name in ("accounts", "joint", "not_positive")),
            *(_money(each[name]) for name in ("balance", "frozen", "available")),
        ]
        for each in sums
    ]
    note = '<p class="soft">Customers&rsquo; accounts; the bank&rsquo;s own take no part.</p>'
    return _table(head, rows, numbers=6) + note


def _proofs(proofs: Sequence[Mapping[str, Any]]) -> str:
    rows = [
        [
            _mark(proof["ok"]),
            escape(proof["statement"]),
            escape(proof["found"]) + "".join(f"<br><code>{escape(each)}</code>" for each in proof["accounts"]),
        ]
        for proof in proofs
    ]
    return _table(("Result", "Statement", "Found"), rows) if rows else _NONE


def _probes(probes: Sequence[Mapping[str, Any]]) -> str:
    rows = [
        [_mark(each["ok"]), *(escape(each[name]) for name in ("statement", "expected", "found"))] for each in probes
    ]
    return _table(("Result", "Posting", "Expected", "Found"), rows) if rows else _NONE


def _real_keys(keys: Mapping[str, Any] | None) -> str:
    if keys is None:
        return _NONE
    until = "" if keys["first_expires_at"] is None else f", the first until {_moment(keys['first_expires_at'])}"
    text = (
        "The drill signs with keys of its own: whether officers and the regulator have theirs at hand is not shown. "
        f"When the copy was made, {keys['officers']:,} officers and {keys['regulators']:,} keys of the regulator "
        f"were registered and valid{until}."
    )
    if keys["gaps"]:
        return f"<p>{text}</p>{_list(keys['gaps'])}"
    return f"<p>{text} Nothing about them is in the way within {keys['days']} days.</p>"


def _depositors(view: Mapping[str, Any] | None, asked: Mapping[str, Any]) -> str:
    if view is None:
        return _NONE
    split = {
        "recorded": "A joint account counts for its holders by the shares on record.",
        "equal": "A joint account counts for its holders in equal parts.",
    }[asked["shares"]]
    facts = [
        ("Depositors", f"{view['depositors']:,}"),
        (f"Depositors over the limit of {_money(view['protected_limit'])}", f"{view['depositors_over_limit']:,}"),
        ("NZD accounts in credit", f"{view['accounts']:,}"),
        ("Deposits", _money(view["deposits"])),
        ("Protected", _money(view["protected"])),
        ("Not protected", _money(view["unprotected"])),
        ("Frozen", _money(view["frozen"])),
        ("Frozen, of protected money", _money(view["frozen_of_protected"])),
        ("Frozen, of money that is not protected", _money(view["frozen_of_unprotected"])),
    ]
    text = (
        f"Per depositor over all NZD accounts in credit, up to NZ${_money(view['protected_limit'])}; amounts in NZD. "
        f"{split} Accounts in other currencies are outside the scheme, overdrawn ones are not set off. "
        "What is frozen of a depositor falls on protected and other money in the proportion of both."
    )
    rows = [[f"{escape(label)}", value] for label, value in facts]
    return f"<p>{text}</p>" + _table(("", "NZD accounts"), rows, numbers=1)


def _provenance(report: Mapping[str, Any], sha256: str, key_id: str) -> str:
    target, file = report["target"], f"{report_name(report)}.json"
    facts = [
        ("Environment", target["environment"]),
        ("Copy", f"{target['branch']} ({target['compute_units']} compute units)"),
        ("Schema version", target["schema_version"]),
        ("Started by", report["actor"]),
        ("Trace id", report["trace_id"]),
        ("Program", report["program"]),
        ("Signed document", file),
        ("Its SHA-256", sha256),
        ("Signed by the key", key_id),
    ]
    rows = "".join(f"<dt>{escape(label)}</dt><dd><code>{escape(value)}</code></dd>" for label, value in facts)
    verify = f"neonctl obr verify-status {file} --key PUBLIC-KEY"
    return f"<dl>{rows}</dl><p>To verify it: <code>{escape(verify)}</code>. This page is made of that document.</p>"


def _table(head: Sequence[str], rows: Iterable[Sequence[str]], *, numbers: int = 0) -> str:
    """Cells are HTML already; the last ``numbers`` columns are figures."""
    first = len(head) - numbers

    def cells(tag: str, row: Sequence[str]) -> str:
        return "".join(
            f"<{tag}{' class=number' if at >= first else ''}>{cell}</{tag}>" if not cell.startswith("<td") else cell
            for at, cell in enumerate(row)
        )

    body = "".join(f"<tr>{cells('td', row)}</tr>" for row in rows)
    return (
        f'<div class="wide"><table><thead><tr>{cells("th", [escape(each) for each in head])}</tr></thead>'
        f"<tbody>{body}</tbody></table></div>"
    )


def _list(lines: Iterable[str]) -> str:
    return f"<ul>{''.join(f'<li>{escape(line)}</li>' for line in lines)}</ul>"


def _mark(ok: bool | None) -> str:
    kind, word = _RESULT[ok]
    return f'<td class="mark {kind}">{word}</td>'


def _money(amount: str) -> str:
    """Thousands apart, as people read amounts."""
    return f"{Decimal(amount):,.2f}"


def _percent(rate: str) -> str:
    return f"{(Decimal(rate) * 100).normalize():f} %"


def _duration(milliseconds: int) -> str:
    return f"{milliseconds:,} ms" if milliseconds < 1000 else f"{milliseconds / 1000:,.1f} s"


def _moment(text: str) -> str:
    return escape(f"{text[:10]} {text[11:19]} UTC")
