"""A few flowables on small pages, as a tagged file read back."""

import io

import pikepdf
from reportlab.platypus import BaseDocTemplate, PageTemplate

from reports.page import fonts
from reports.page.layout import Heading
from reports.pdf_objects.file_reader import FileReader
from reports.tagged.canvas import MarkedCanvas
from reports.tagged.flowables import MarkedFrame
from reports.tagged.tree import TreeReader


class Pages(BaseDocTemplate):
    def afterFlowable(self, flowable):
        if isinstance(flowable, Heading):
            self.canv.bookmarkPage(flowable.key)


def drawn(story, height=200):
    """Return the file of a story on pages 300 points wide."""
    target = io.BytesIO()
    document = Pages(target, pagesize=(300, height), initialFontName=fonts.REGULAR, invariant=1)
    document.addPageTemplates(PageTemplate(frames=[MarkedFrame(10, 10, 280, height - 20, 0, 0, 0, 0)]))
    document.build(story, canvasmaker=MarkedCanvas)
    return pikepdf.open(target)


def elements_of(pdf):
    """Return the elements of a file in the order of reading."""
    return [node for branch in TreeReader(FileReader(pdf)).branches() for node in branch]


def words_by_element(pdf):
    """Return the words of each mark, in the order of the structure: [(tags from the top, words), ...]."""
    words = [_words(page) for page in pdf.pages]
    listed = []
    for node in elements_of(pdf):
        if node.marks:
            path, above = [], node
            while above is not None:
                path.insert(0, above.tag)
                above = above.parent
            text = " ".join(words[page].get(number, "").strip() for page, number in node.marks)
            listed.append((" ".join(path[1:]), text))
    return listed


def words_beside(pdf):
    """Return the words of each page that belong to the page only."""
    return [_words(page).get("page", "") for page in pdf.pages]


def _words(page):
    maps = {name: _characters(font) for name, font in page.resources.get("/Font", {}).items()}
    found, font, owners = {}, {}, []
    for operands, operator in pikepdf.parse_content_stream(page):
        if str(operator) in ("BDC", "BMC"):
            real = len(operands) > 1 and "/MCID" in operands[1]
            owners.append(int(operands[1].MCID) if real else "page")
        elif str(operator) == "EMC":
            owners.pop()
        elif str(operator) == "Tf":
            font = maps.get(str(operands[0]), {})
        elif str(operator) == "Tj":
            owner = owners[-1] if owners else "nobody"
            found[owner] = found.get(owner, "") + "".join(font.get(code, "") for code in bytes(operands[0]))
    return found


def _characters(font):
    lines = font.ToUnicode.read_bytes().decode("latin-1").splitlines()
    pairs = [line.strip("<>").split("> <") for line in lines if line.startswith("<") and "> <" in line]
    return {int(code, 16): chr(int(point, 16)) for code, point in pairs}
