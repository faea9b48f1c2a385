"""The key figures of an audit over its runs, as a picture file: SVG or PDF."""

import io
from collections.abc import Mapping, Sequence
from math import fsum
from pathlib import Path

from reportlab.graphics import renderPDF, renderSVG
from reportlab.graphics.shapes import Drawing, Group

from pipeline.errors import ConfigError
from pipeline.files import written
from pipeline.findings.plotted.control import RunControl
from pipeline.findings.plotted.history import RunPoint
from reports.charts.control import control_chart, control_words, words_below

__all__ = ["check_plot_path", "control_words", "write_trend"]

_ENDINGS = (".svg", ".pdf")
_GAP, _MARGIN = 14.0, 10.0
_OURS, _EVERYWHERE = "DejaVuSans", "'DejaVu Sans', Verdana, sans-serif"


def write_trend(
    series: Mapping[str, Sequence[RunPoint]], path: Path, control: Mapping[str, RunControl] | None = None
) -> None:
    """Draw a control chart for each figure, one below the other, and write them; complete or absent.

    Below a figure that ``control`` has stands what its chart can see.

    Raises:
        ConfigError: when the path's ending is not one that can be written.
        OutputError: when it cannot be written.
    """
    check_plot_path(path)
    control = control or {}
    charts: list[Drawing] = []
    for name, points in series.items():
        charts.append(control_chart(points, name, (None, None)))
        charts += [words_below(control[name])] if name in control else []
    drawing = _stacked(charts)
    content = _as_svg(drawing) if path.suffix == ".svg" else _as_pdf(drawing)
    with written(path) as file:
        file.write(content)


def check_plot_path(path: Path) -> None:
    """Refuse a file of a kind that is not drawn.

    Raises:
        ConfigError: naming those that are.
    """
    if path.suffix not in _ENDINGS:
        raise ConfigError(f"--plot: must end in {' or '.join(_ENDINGS)}, not {path.name[-40:]!r}")


def _stacked(charts: Sequence[Drawing]) -> Drawing:
    width = max((chart.width for chart in charts), default=100.0) + 2 * _MARGIN
    height = fsum(chart.height + _GAP for chart in charts) + 2 * _MARGIN
    whole = Drawing(width, height)
    top = height - _MARGIN
    for chart in charts:
        top -= chart.height
        group = Group(*chart.contents)
        group.translate(_MARGIN, top)
        whole.add(group)
        top -= _GAP
    return whole


def _as_svg(drawing: Drawing) -> bytes:
    """Return the drawing with fonts that every viewer finds: SVG embeds none."""
    text: str = renderSVG.drawToString(drawing)
    bold = text.replace(f"{_OURS}-Bold;", f"{_EVERYWHERE}; font-weight: bold;")
    return bold.replace(_OURS, _EVERYWHERE).encode()


def _as_pdf(drawing: Drawing) -> bytes:
    file = io.BytesIO()
    renderPDF.drawToFile(drawing, file, "")
    return file.getvalue()
