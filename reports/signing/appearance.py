"""What a signed box shows, held against what it should show: its words, font by font."""

import io
from collections.abc import Iterator

import pikepdf

from reports.page.read_back import shown_words
from reports.signing.block import SignatureBlock, drawn_block

__all__ = ["shows"]

_DEEPEST = 5


def shows(content: bytes, field: str, block: SignatureBlock) -> bool:
    """Tell whether the box of a field shows the words of a block, and no picture."""
    with pikepdf.open(io.BytesIO(content)) as pdf:
        box = next((each for each in pdf.Root.AcroForm.Fields if str(each.get("/T", "")) == field), None)
        appearance = box.get("/AP", {}).get("/N") if box is not None else None
        if box is None or not isinstance(appearance, pikepdf.Stream):
            return False
        left, bottom, right, top = (float(edge) for edge in box.Rect)
        forms = list(_forms(appearance))
    with pikepdf.open(io.BytesIO(drawn_block(block, right - left, top - bottom))) as own:
        expected = shown_words(own.pages[0].obj, own.pages[0].resources)
    return None not in forms and "".join(str(words) for words in forms) == expected


def _forms(form: pikepdf.Object, depth: int = 0) -> Iterator[str | None]:
    """Yield the words of a form and of those inside it; None for what is no form, or too deep to be one of ours."""
    resources = form.get("/Resources", pikepdf.Dictionary())
    yield shown_words(form, resources)
    for inner in resources.get("/XObject", {}).values():
        if inner.get("/Subtype") != "/Form" or depth > _DEEPEST:
            yield None
        else:
            yield from _forms(inner, depth + 1)
