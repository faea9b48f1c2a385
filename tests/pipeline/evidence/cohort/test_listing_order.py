"""The order in which an archive's studies are listed changes no figure: not in what is drawn at random either."""

import base64
import json
from math import isclose
from types import SimpleNamespace

import numpy as np
import pytest

from pipeline.conclusions.conclude import conclude
from pipeline.evidence.cohort.classifier import area_cohort_of
from pipeline.evidence.cohort.population import by_files
from pipeline.findings.localisation.curves import CURVE_SHARES
from pipeline.findings.localisation.lesions import MaskShape
from pipeline.findings.plotted.marks import MarkCounts
from pipeline.findings.scores import Score
from pipeline.findings.spec import RunSpec
from pipeline.findings.study_audit import InputFacts, PairAgreement, StudyAudit
from tests.benchmarks.cohort_memory import members_of, shown_of_a_run, specification, study

SIZE = 44


def whole_study(number):
    """Return a study with everything that a cohort's figures are made of, and files of its own."""
    plain, random = study(number), np.random.default_rng(number)
    own = {"source_sha256": f"{number * 2_654_435_761 % 2**32:064x}"}
    if plain.status != "analysed":
        return plain.model_copy(update=own)
    hits = tuple(sorted(random.integers(0, 3, len(CURVE_SHARES)).tolist(), reverse=True))
    marks = MarkCounts(found=hits, false=tuple(random.integers(0, 4, len(CURVE_SHARES)).tolist()), lesions=2)
    shape = {"axes": 3, "lesions": 2, "image_share": random.random(), "size": 1000 * random.random(),
             "elongation": 1 + random.random(), "irregularity": random.random()}  # fmt: skip
    sketch = base64.b64encode(random.integers(-127, 128, 512).astype(np.int8).tobytes()).decode()
    shown = {"shape": (1, 96, 96, 96), "minimum": 0, "mean": random.random(), "maximum": 1,
             "deviation": random.random(), "sha256": f"{number:064x}", "sketch": sketch}  # fmt: skip
    agreement = PairAgreement(
        label="lesion", readers=("anna", "ben"), scores=(Score(name="dice", value=random.random()),)
    )
    own |= {
        "probabilities": {"lesion": (p := round(random.random(), 2)), "clear": 1 - p},
        "predicted": ("lesion",) if p >= 0.5 else (),
        "model_input": InputFacts.model_validate(shown),
        "mask_shapes": (MaskShape(label="lesion", reader="anna", **shape),) if plain.map_scores else (),
        "agreement": (agreement,) if plain.map_scores else (),
        "map_scores": tuple(
            entry.model_copy(update={"marks": marks, "scores": tuple(
                score.model_copy(update={"value": float(random.random())}) for score in entry.scores)})
            for entry in plain.map_scores[:2]
        ),
    }  # fmt: skip
    return StudyAudit.model_validate(plain.model_copy(update=own).model_dump())


@pytest.fixture(scope="module")
def spec():
    content = specification().model_dump(mode="json")
    content["configuration"]["run"]["replicates"] = 200
    content["configuration"]["criteria"].append({"metric": "auroc", "among": "all", "at_least": 0.4})
    content["metrics"] = [facts for facts in content["metrics"] if facts["name"] in ("iou", "hit_rate")]
    return RunSpec.model_validate(content)


def results_of(spec, audits):
    return json.loads(conclude(spec, members_of(audits), audits, shown_of_a_run()).model_dump_json())


def differing(one_way, other_way, at=""):
    """Yield where two results differ; lists of studies and of groups stand in the order of the listing."""
    if isinstance(one_way, dict):
        assert set(one_way) == set(other_way), at
        for key in one_way:
            yield from differing(one_way[key], other_way[key], f"{at}.{key}")
    elif isinstance(one_way, list) and one_way and not isinstance(one_way[0], float):
        pairs = zip(*(sorted(side, key=without_figures) for side in (one_way, other_way)), strict=True)
        for number, pair in enumerate(pairs):
            yield from differing(*pair, f"{at}[{number}]")
    elif isinstance(one_way, list):
        for number, pair in enumerate(zip(one_way, other_way, strict=True)):
            yield from differing(*pair, f"{at}[{number}]")
    elif one_way != other_way and not (isinstance(one_way, float) and isclose(one_way, other_way, rel_tol=1e-11)):
        yield at, one_way, other_way


def without_figures(item):
    return json.dumps(json.loads(json.dumps(item), parse_float=lambda _: 0), sort_keys=True)


def test_how_studies_are_listed_changes_no_figure_of_the_results(spec):
    audits = [whole_study(number) for number in range(SIZE)]
    listed = [audits[place] for place in np.random.default_rng(0).permutation(SIZE)]
    plain, otherwise = results_of(spec, audits), results_of(spec, listed)
    assert plain["classification"][3]["low"] is not None
    assert plain["label_plots"][0]["calibration"]["error"]["described"] is not None
    assert plain["froc_curves"][0]["low"]
    assert plain["curves"][0]["low"]
    assert list(differing(plain, otherwise)) == []


def test_copies_stand_in_the_order_of_their_names_and_all_others_in_that_of_their_files():
    files = {"e": "2", "c": "1", "b": "1", "a": "1", "d": "0", "f": "2"}
    rows = [SimpleNamespace(study=name, source_sha256=digit * 64) for name, digit in files.items()]
    assert [rows[place].study for place in by_files(rows)] == ["d", "a", "b", "c", "e", "f"]


def test_weights_of_an_auroc_go_with_the_files_not_with_names_or_places():
    audits = [whole_study(number) for number in range(SIZE)]
    renamed = [audit.model_copy(update={"study": f"T-{99 - number}", "patient": f"Q{int(audit.patient[2:]) * 7 % 23}"})
               for number, audit in enumerate(audits)]  # fmt: skip
    first, second, third = (area_cohort_of(rows, "lesion") for rows in (audits, audits[::-1], renamed))
    for other in (second, third):
        assert np.array_equal(first.scores, other.scores)
        assert np.array_equal(first.patient, other.patient)
