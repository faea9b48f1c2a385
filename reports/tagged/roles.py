"""What a flowable is to a reader: a paragraph, a table, a figure with its alternative text."""

from contextlib import AbstractContextManager, nullcontext
from typing import Any, Protocol, runtime_checkable

from reportlab.platypus import Flowable, KeepTogether, Spacer
from reportlab.platypus import Paragraph as PlainParagraph
from reportlab.platypus import Table as PlainTable
from reportlab.platypus.doctemplate import ActionFlowable
from reportlab.platypus.flowables import NullDraw
from reportlab.platypus.tableofcontents import TableOfContents

from reports.tagged.canvas import MarkedCanvas
from reports.tagged.elements import Step

__all__ = ["announced", "describe", "described"]


@runtime_checkable
class _SelfDescribed(Protocol):
    def steps(self) -> tuple[Step, ...]:
        """Return where in the structure it stands, from its surroundings downwards."""


def described(flowable: Flowable, alternative_text: str) -> Flowable:
    """Return a picture or a drawing with the text that is read in its place."""
    vars(flowable)["alternative_text"] = alternative_text  # a Drawing refuses attributes that it does not know
    return flowable


def describe(canvas: Any, alternative_text: str) -> None:  # noqa: ANN401
    """Say what the figure that is being drawn shows, where that is known only now."""
    if isinstance(canvas, MarkedCanvas):
        canvas.describe(alternative_text)


def announced(canvas: Any, flowable: Flowable) -> AbstractContextManager[None]:  # noqa: ANN401
    """Return a context inside which what the flowable draws belongs to its element."""
    steps = _steps(flowable)
    return canvas.inside(*steps) if steps and isinstance(canvas, MarkedCanvas) else nullcontext()


def _steps(flowable: Flowable) -> tuple[Step, ...]:
    if isinstance(flowable, _SelfDescribed):
        return flowable.steps()
    if isinstance(flowable, Spacer | ActionFlowable | NullDraw | KeepTogether):
        return ()
    key = ("flowable", id(flowable), flowable)
    if isinstance(flowable, PlainParagraph):
        return (Step("P", key),)
    if isinstance(flowable, TableOfContents):  # ours says itself what its lines are
        return (Step("P", key),)
    if isinstance(flowable, PlainTable):  # of a class that is not ours: its cells cannot be told apart
        return (Step("Div", key),)
    words = getattr(flowable, "alternative_text", None) or getattr(flowable, "alt", None)
    return (Step("Figure", key, words),)
