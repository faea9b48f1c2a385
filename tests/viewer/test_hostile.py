"""Strings that somebody made to break a page are shown as they are, wherever a run may hold one."""

import json
from dataclasses import replace

import pytest

from pipeline.findings.pictures.panels import load_panels, save_panels
from pipeline.findings.pictures.volumes import load_volume, save_volume
from pipeline.findings.reviews import parse_review
from reports.viewer.build import write_page
from tests.reports.viewer.example_run import CT, DX, write_viewed_run
from tests.reports.viewer.test_page import HOSTILE

pytestmark = pytest.mark.viewer
READY = ".case[data-ready]"
OWN = ("__proto__", "constructor", "toString", "</script><script>alert(1)</script>", "<img src=x onerror=alert(1)>")
TEXTS = [text.replace("\0", "") for text in (*HOSTILE, *OWN)]  # an archive's names end at a zero


def with_names(run, study, readers, name, text):
    """Give a case's readers and its map other names, and its words one text."""
    volume = load_volume(run / f"cases/{study}.volume.npz")
    mask, kept = next(iter(volume.masks.values())), volume.maps["gradcam"]
    counts = next(iter(kept.readers.values()))
    kept = replace(kept, readers=dict.fromkeys(readers, counts))
    save_volume(
        replace(volume, masks=dict.fromkeys(readers, mask), maps={name: kept}), run / f"cases/{study}.volume.npz"
    )
    panels = load_panels(run / f"cases/{study}.npz")
    renamed = {
        each: {name: getattr(panels, each)["gradcam"]} for each in ("ranges", "thresholds")
    }  # fmt: skip
    views = tuple(
        replace(view, caption=text, masks=dict.fromkeys(readers, next(iter(view.masks.values()))),
                maps=dict(zip([name], view.maps.values(), strict=False)), close=None, peaks={})
        for view in panels.views
    )  # fmt: skip
    save_panels(
        replace(panels, target=text, unit=text, window_rule=text, views=views, **renamed), run / f"cases/{study}.npz"
    )


@pytest.fixture(scope="module")
def hostile(tmp_path_factory):
    run = write_viewed_run(tmp_path_factory.mktemp("hostile") / "run")
    with_names(run, CT, TEXTS, "<svg onload=alert(1)>", TEXTS[0])
    with_names(run, DX, ["__proto__", "constructor"], "__proto__", "__proto__")
    fields = json.loads((run / "results.json").read_bytes())
    for number, case in enumerate(fields["cases"]):
        case |= {"rule": TEXTS[number], "note": "W" * 10_000}
        case["audit"]["strata"] = dict.fromkeys(TEXTS, "x")
    (run / "results.json").write_text(json.dumps(fields))
    table = (run / "per_study.csv").read_text().replace("stratum_site", "stratum___proto__")
    (run / "per_study.csv").write_text(table)
    return write_page(run, run.parent / "report.html").page


def squeezed(text):
    return "".join(text.split())


def test_readers_maps_and_words_are_shown_as_they_are(opened, hostile):
    page = opened(f"{hostile.as_uri()}#case-0", READY)
    shown = squeezed(page.text_content(".case"))
    for text in TEXTS:
        assert squeezed(text) in shown
    assert page.locator(".readers li").count() == len(TEXTS)
    assert page.locator(".live tbody tr").count() == len(TEXTS)
    assert page.locator("img, svg, main script, iframe, object").count() == 0
    assert page.evaluate("document.title") != "taken"
    box = page.locator(".side").bounding_box()
    assert box["x"] + box["width"] <= 1400, "a long word is broken, not what stands beside it"


def test_names_that_every_object_has_are_names(opened, hostile):
    page = opened(f"{hostile.as_uri()}#case-1", READY)
    assert page.inner_text(".readers").split() == ["A", "__proto__", "B", "constructor"]
    scores = [row.split() for row in page.locator(".live tbody tr").all_inner_texts()]
    assert [row[0] for row in scores] == ["__proto__", "constructor"]
    assert "map " in page.inner_text(".readout .value")
    page = opened(f"{hostile.as_uri()}#cohort")
    page.select_option("select[data-filter='__proto__']", label="Süd")
    assert page.inner_text(".filters output") == "1 of 3 studies"


TYPED = ["\ud83d", *HOSTILE, *OWN]


@pytest.mark.parametrize("start", range(0, len(TYPED), 7))  # a browser takes no more than ten downloads at once
def test_what_is_typed_becomes_a_review_that_is_taken(opened, hostile, tmp_path, start):
    page = opened(f"{hostile.as_uri()}#case-0", READY)
    page.click("[data-judgement='agree']")
    script = "(node, text) => { node.value = text; node.dispatchEvent(new Event('input')); }"
    for text in TYPED[start : start + 7]:
        page.eval_on_selector(".review textarea", script, text[:10_000])  # as long as a keyboard may write
        page.eval_on_selector(".sending input >> nth=0", script, f"Dr. {text}"[:150])
        with page.expect_download() as download:
            page.click("#save-review")
        download.value.save_as(tmp_path / "review.json")
        review = parse_review((tmp_path / "review.json").read_bytes())
        assert review.reviewer.name.startswith("Dr.")
        kept = "".join(each for each in text[:10_000] if each.isalnum() and each.isascii())
        assert "".join(each for each in review.cases[0].comment if each.isalnum() and each.isascii()) == kept
