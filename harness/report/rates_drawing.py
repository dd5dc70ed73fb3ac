"""A run's rates as one drawing that stands alone: what changed in a batch, in either mode."""

from html import escape

from harness.analyse import Summary
from harness.hostile import visible
from harness.numbers import rate_text
from harness.report.in_words import headline
from harness.report.sections_askings import name_of
from harness.words import Endpoint, Mode

_LEFT, _WIDE, _ROW, _TOP = 236, 370, 34, 66
_COLOURS = {Mode.STANDARD: "#c1531b", Mode.BATCH_INVARIANT: "#1766ac"}
_TICKS = (0, 25, 50, 75, 100)


def rates_svg(summary: Summary) -> str:
    """Prompts whose label or text changes with the batch, each with its Wilson 95% interval."""
    effect = summary.leading
    rows = [
        (e, mode, summary.counted(mode, effect, e)) for e in Endpoint for mode in summary.by_mode
    ]
    height = _TOP + _ROW * len(rows) + 40
    title = escape(visible(headline(summary)))
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 860 {height}" width="860" '
        f'height="{height}" font-family="sans-serif" font-size="13" role="img">',
        f"<title>{title}</title>",
        f'<rect width="860" height="{height}" fill="#ffffff"/>',
        f'<text x="16" y="26" font-size="15" font-weight="600">{name_of(effect)}, by prompt</text>',
        '<text x="16" y="46" fill="#59626d">with Wilson 95% intervals</text>',
    ]
    for tick in _TICKS:
        x, bottom = _LEFT + tick / 100 * _WIDE, height - 30
        parts.append(f'<path d="M{x:g} {_TOP - 10}V{bottom}" stroke="#dfe2e6"/>')
        parts.append(
            f'<text x="{x:g}" y="{bottom + 18}" text-anchor="middle" fill="#59626d">{tick}%</text>'
        )
    for number, (endpoint, mode, found) in enumerate(rows):
        rate = found.prompts if found.prompts.n else found.rows
        y, colour = _TOP + _ROW * number + 12, _COLOURS[mode]
        name = f"{endpoint.words}, {mode.words}"
        parts.append(f'<text x="16" y="{y + 4}">{name}</text>')
        if rate.rate is not None and rate.wilson95:
            low, high = (_LEFT + (bound or 0) * _WIDE for bound in rate.wilson95)
            at = _LEFT + rate.rate * _WIDE
            parts.append(
                f'<path d="M{low:.1f} {y}H{high:.1f}" stroke="{colour}" stroke-width="2"/>'
            )
            parts.append(f'<circle cx="{at:.1f}" cy="{y}" r="5" fill="{colour}"/>')
        parts.append(f'<text x="{_LEFT + _WIDE + 16}" y="{y + 4}">{rate_text(rate)}</text>')
    return "\n".join([*parts, "</svg>\n"])
