"""What the model was shown is recorded, printed and, where it may be, pictured."""

import numpy as np
import pytest

from pipeline.conclusions.input_summary import summarised
from pipeline.findings.pictures.panels import load_panels
from pipeline.findings.study_audit import InputFacts, StudyAudit
from pipeline.runs.reuse import run_answers
from pipeline.studies.read_study import read_study
from pipeline.walk.sources import find_sources
from tests.pipeline.planted import plant
from tests.pipeline.runs.test_run import change, complete
from tests.pipeline.steps import open_auditor, read_run


def facts(**changes):
    values = {"shape": (1, 8, 8), "minimum": -1.0, "mean": 0.5, "maximum": 2.0, "deviation": 1.0}
    return InputFacts(**values | changes)


def study(number, model_input):
    return StudyAudit(study=f"S-{number}", patient="P", source_sha256="", status="analysed", model_input=model_input)


def test_the_record_is_that_of_the_arrays_the_model_saw(tmp_path):
    config = plant(tmp_path, 3)
    folder, results = complete(config)
    auditor = open_auditor(config)
    sources = find_sources(auditor.config, auditor.pseudonyms)
    arrays = {
        one.study: auditor.preparation(read_study(one.row, auditor.pseudonyms).image).x.numpy() for one in sources
    }
    for name, audit in run_answers(folder, read_run(folder)[1]).items():
        x, found = arrays[name].astype(np.float64), audit.model_input
        assert found.shape == (1, 48, 48, 48)
        assert (found.minimum, found.maximum) == (x.min(), x.max())
        assert (found.mean, found.deviation) == pytest.approx((x.mean(), x.std()), rel=1e-5)
    inputs = results.inputs
    assert (inputs.studies, inputs.shapes, inputs.notes) == (3, {"1 x 48 x 48 x 48": 3}, ())
    assert inputs.minimum == min(x.min() for x in arrays.values())
    assert inputs.maximum == max(x.max() for x in arrays.values())
    assert inputs.mean == pytest.approx(np.mean([x.mean() for x in arrays.values()]), rel=1e-5)


def test_one_plane_of_the_first_input_is_kept_with_its_window(tmp_path):
    config = plant(tmp_path, 3)
    folder, results = complete(config)
    assert (results.inputs.picture, results.inputs.picture_note) == ("model-input.npz", None)
    panels = load_panels(folder / results.inputs.picture)
    (view,) = panels.views
    auditor = open_auditor(config)
    first = find_sources(auditor.config, auditor.pseudonyms)[0]
    x = auditor.preparation(read_study(first.row, auditor.pseudonyms).image).x[0].numpy()
    assert np.isin(view.image, x).all()
    assert (view.image.shape, view.caption) == ((48, 48), "plane 25 of 48: the middle plane")
    assert panels.window == pytest.approx(tuple(np.percentile(x, (0.5, 99.5))))


def test_a_picture_is_withheld_like_any_other(tmp_path):
    config = plant(tmp_path, 3)
    change(config, report={"pictures": "not_burned_in"})
    folder, results = complete(config)
    assert results.inputs.picture is None
    assert "withheld" in results.inputs.picture_note
    assert not list(folder.glob("*.npz"))


def test_a_forgotten_scaling_is_noted(tmp_path):
    config = plant(tmp_path, 3)
    change(
        config,
        prepare=[
            {"_target_": "ScaleIntensityRange", "a_min": 0, "a_max": 1, "b_min": -1000, "b_max": 3000},
            {"_target_": "Resize", "spatial_size": [20, 24, 16]},
        ],
    )
    (note,) = complete(config)[1].inputs.notes
    assert note.startswith("3 of 3 inputs hold values beyond 50 in size")


def test_notes_are_facts_about_the_values():
    sound = [study(number, facts(maximum=50.0, minimum=-50.0)) for number in range(3)]
    assert summarised(sound).notes == ()
    large = study(3, facts(minimum=-50.5))
    flat = study(4, facts(minimum=0.0, maximum=0.0))
    notes = summarised([*sound, large, flat]).notes
    assert [note[:30] for note in notes] == ["1 of 5 inputs are constant: th", "1 of 5 inputs hold values beyo"]
    assert summarised([]) is None
    assert summarised([study(0, None)]) is None
    several = summarised([study(0, facts()), study(1, facts(shape=(1, 8, 9), mean=1.5))])
    assert (several.shapes, several.mean) == ({"1 x 8 x 8": 1, "1 x 8 x 9": 1}, 1.0)
