"""The family ``faithfulness`` on a network whose evidence is known: who beats what, what it costs, what is left out."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from pipeline.config_experiments import FaithfulnessConfig
from pipeline.errors import StudyError
from pipeline.evidence.faithfulness.findings import faithfulness_findings
from pipeline.experiments.faithfulness import faithfulness
from pipeline.findings.experiments.faithfulness import FaithfulnessRows
from pipeline.studies.geometry import Geometry
from pipeline.vocabulary import KNOWN_TO_MISLEAD
from tests.pipeline.experiments.controls import SmallNet, bench_of, pictures, register
from tests.pipeline.experiments.test_sanity import auditor  # noqa: F401 - a fixture

STUDIES = 12


class BlobNet(nn.Module):
    """Label 1 is brightness above .3, less the darkness below -.3, each averaged over the picture."""

    def __init__(self, axes=2):
        super().__init__()
        conv, pool = (nn.Conv2d, nn.AvgPool2d) if axes == 2 else (nn.Conv3d, nn.AvgPool3d)
        self.trunk = nn.Sequential(conv(1, 2, 1), nn.Identity(), nn.ReLU(), pool(2), nn.Identity(), nn.Identity())
        self.head = nn.Linear(2, 2)
        self.rows, self.chunks = 0, 0
        with torch.no_grad():
            self.trunk[0].weight[:] = torch.tensor([1.0, -1.0]).view(2, 1, *[1] * axes)
            self.trunk[0].bias.fill_(-0.3)
            self.head.weight[:] = 50 * torch.tensor([[-1.0, 1.0], [1.0, -1.0]])
            self.head.bias.zero_()

    def forward(self, x):
        self.rows, self.chunks = self.rows + len(x), self.chunks + 1
        return self.head(self.trunk(x).flatten(2).mean(dim=2))


def planted(number=STUDIES, axes=2, size=32):
    grid = Geometry((size,) * axes, np.eye(4))
    return tuple(replace(study, grid=grid) for study in pictures(number, axes, size))


def tried(auditor, methods, network=None, studies=None, **settings):  # noqa: F811
    network = network or BlobNet()
    given = planted() if studies is None else studies
    bench = bench_of(auditor, network, methods, "faithfulness", given, **settings)
    rows = faithfulness(bench)
    chosen = [study.study for study in given]
    return rows, faithfulness_findings(rows, bench.settings(FaithfulnessConfig), chosen), bench


def answers(findings):
    return {check.method: check.answer for check in findings.checks}


def said(findings):
    return {figure.method: figure.answer for figure in findings.figures if figure.fill == "blur"}


@pytest.mark.parametrize("axes", [2, 3])
def test_a_right_map_beats_both_and_wrong_ones_do_not(auditor, monkeypatch, axes):  # noqa: F811
    register(monkeypatch)
    methods = ("gradcam", "hirescam", "inverted", "centre_blob", "fixed_noise")
    studies = planted(axes=axes, size=32 if axes == 2 else 20)
    _, findings, _ = tried(auditor, methods, BlobNet(axes), studies)
    assert said(findings) | {"fixed_noise": ""} == {
        "gradcam": "beats both", "hirescam": "beats both", "inverted": "loses", "centre_blob": "not shown",
        "fixed_noise": "",
    }  # fmt: skip
    assert answers(findings) | {"fixed_noise": ""} == {
        "gradcam": "MET", "hirescam": "MET", "inverted": "NOT MET", "centre_blob": "INCONCLUSIVE", "fixed_noise": "",
    }  # fmt: skip
    assert answers(findings)["fixed_noise"] != "MET"
    assert not any(check.strikes for check in findings.checks)


CONTROL_MAPS = ("edge_picture", "centre_blob", "fixed_noise", "fresh_noise", "inverted", "edge_mix")


def test_no_control_is_met_beside_a_right_map(auditor, monkeypatch):  # noqa: F811
    """Edges of bright and dark alike, a blob, noise fixed and fresh, the map inverted, and three quarters of edges."""
    register(monkeypatch)
    _, findings, _ = tried(auditor, ("gradcam", *CONTROL_MAPS), studies=planted(20))
    answered = answers(findings)
    assert answered["gradcam"] == "MET"
    assert {name: answered[name] for name in CONTROL_MAPS if answered[name] == "MET"} == {}
    assert answered["inverted"] == "NOT MET"


def test_the_first_map_costs_72_forwards_a_picture_and_each_further_one_14(auditor):  # noqa: F811
    for methods, each in ((("gradcam",), 72), (("gradcam", "hirescam", "layercam"), 100)):
        network = BlobNet()
        rows, _, bench = tried(auditor, methods, network)
        assert rows.forwards == bench.forwards == each * STUDIES
        maps = network.rows - rows.forwards  # and what explaining the studies themselves takes
        assert maps <= 2 * STUDIES
        assert rows.calls == dict.fromkeys(methods, STUDIES)
        assert network.chunks < network.rows / 10  # many together


def test_a_model_that_is_shown_one_at_a_time_gives_the_same_areas(auditor):  # noqa: F811
    rows, _, _ = tried(auditor, ("gradcam",))
    network = BlobNet()
    bench = bench_of(auditor, network, ("gradcam",), "faithfulness", planted())
    alone = faithfulness(replace(bench, auditor=replace(bench.auditor, one_by_one=True)))
    assert network.chunks == network.rows
    for row, other in zip(rows.rows, alone.rows, strict=True):
        assert row.area == pytest.approx(other.area, rel=1e-5)


def test_the_best_order_makes_areas_shares_and_road_is_a_second_look(auditor):  # noqa: F811
    rows, findings, _ = tried(auditor, ("gradcam",), best_order=True, second_look=True)
    blur, road = findings.figures
    assert (blur.fill, road.fill) == ("blur", "road")
    assert 0.5 < blur.share_of_best <= 1  # it ranks nothing that speaks against the label
    assert road.answer == "beats both"
    assert (len(blur.insertion), len(road.insertion)) == (9, 0)
    assert blur.insertion[-1] == pytest.approx(blur.deletion[0])
    assert rows.forwards == STUDIES * 2 * (72 + 16 + 14)
    assert len(findings.checks) == 1  # the second look decides nothing


def test_halved_blocks_are_looked_into_as_a_figure(auditor, monkeypatch):  # noqa: F811
    register(monkeypatch)
    rows, findings, _ = tried(auditor, ("gradcam", "fresh_noise"), finer_look=True)
    plain, without, _ = tried(auditor, ("gradcam",))
    assert rows.forwards - 14 * STUDIES == plain.forwards + 2 * 72 * STUDIES
    by_method = {figure.method: figure for figure in findings.finer_figures}
    assert by_method["gradcam"].answer in ("beats both", "beats random only")
    assert by_method["fresh_noise"].answer not in ("beats both", "beats random only")
    assert (by_method["gradcam"].pictures, by_method["gradcam"].without) == (STUDIES, 0)
    assert (without.finer_figures, plain.finer) == ((), ())
    assert findings.checks[0] == without.checks[0]  # it decides nothing
    for edited in (rows.finer[:1] * 2, (rows.finer[0].model_copy(update={"study": "S-none"}),)):
        with pytest.raises(ValueError, match="halved blocks are not those"):
            faithfulness_findings(
                rows.model_copy(update={"finer": edited}), FaithfulnessConfig(studies=12, finer_look=True),
                [row.study for row in rows.opponents],
            )  # fmt: skip


def test_what_is_known_to_mislead_is_computed_on_request_and_judged_never(auditor):  # noqa: F811
    names = tuple(KNOWN_TO_MISLEAD)
    rows, findings, _ = tried(auditor, ("gradcam", "hirescam"), also=names)
    assert len(rows.asked) == STUDIES * 2 * 4
    by_name = {figure.score: figure for figure in findings.asked_figures if figure.method == "gradcam"}
    assert set(by_name) == set(names)
    assert all(figure.value is not None and figure.patients == STUDIES for figure in by_name.values())
    assert 0 <= by_name["average_drop"].value <= 100
    assert by_name["sensitivity_n"].value > 0.5
    plain, without, _ = tried(auditor, ("gradcam", "hirescam"))
    assert without.checks == findings.checks
    assert not plain.asked


def test_a_map_that_fails_is_not_done_and_the_others_are(auditor, monkeypatch):  # noqa: F811
    register(monkeypatch)
    rows, findings, _ = tried(auditor, ("gradcam", "broken"), SmallNet())
    assert rows.not_done == {"broken": "the model or a map raised ValueError"}
    assert answers(findings)["broken"] == "INCONCLUSIVE"
    assert {row.method for row in rows.rows} == {"gradcam"}
    assert len(rows.rows) == STUDIES
    assert findings.checks[1].reason == "not done: the model or a map raised ValueError"


def test_an_empty_map_beats_nothing(auditor):  # noqa: F811
    studies = list(planted())
    for number in range(4):
        studies[number] = replace(studies[number], x=torch.full_like(studies[number].x, -0.1))
    _, findings, _ = tried(auditor, ("gradcam",), studies=studies)
    (figure,) = findings.figures
    assert (figure.without_order, figure.pictures, figure.tests["random"].wins) == (4, 12, 8)
    assert figure.answer == "not shown"


def test_a_study_that_the_model_fails_on_is_counted_and_has_no_rows(auditor):  # noqa: F811
    class Fails(BlobNet):
        def forward(self, x):
            if bool((x[:, 0].flatten(1).amax(dim=1) > 5).any()):
                raise RuntimeError("too bright")
            return super().forward(x)

    studies = list(planted())
    studies[3] = replace(studies[3], x=studies[3].x + 10)
    rows, findings, _ = tried(auditor, ("gradcam", "hirescam"), Fails(), studies)
    assert rows.failures == {"S-3": "model_failed"}
    assert {row.study for row in rows.rows} == {study.study for study in studies} - {"S-3"}
    assert not rows.not_done
    assert findings.checks[0].studies == STUDIES - 1


def test_a_picture_of_too_few_blocks_is_left_out_with_its_reason(auditor):  # noqa: F811
    studies = list(planted())
    studies[0] = replace(studies[0], x=torch.zeros(1, 2, 2), grid=Geometry((2, 2), np.eye(4)))
    rows, _, _ = tried(auditor, ("gradcam",), studies=studies)
    assert rows.failures == {"S-0": "too_few_blocks"}


def test_rows_that_no_run_writes_are_refused(auditor):  # noqa: F811
    rows, _, bench = tried(auditor, ("gradcam",))
    settings, chosen = bench.settings(FaithfulnessConfig), [study.study for study in planted()]

    def held(**changes):
        return faithfulness_findings(FaithfulnessRows(**{**dict(rows), **changes}), settings, chosen)

    held()
    for changes in (
        {"rows": rows.rows[1:]},
        {"rows": (*rows.rows, rows.rows[-1])},
        {"opponents": rows.opponents[1:]},
        {"failures": {"S-99": "timeout"}},
        {"not_done": {"other": "why"}},
        {"rows": (rows.rows[0].model_copy(update={"patient": "P-9"}), *rows.rows[1:])},
    ):
        with pytest.raises(ValueError, match=r"chosen|two patients"):
            held(**changes)
    with pytest.raises(ValueError, match="more studies were chosen"):
        faithfulness_findings(rows, settings, [*chosen, *map(str, range(9))])


def test_the_bench_tells_a_failing_model_from_our_own_fault(auditor):  # noqa: F811
    class Broken(BlobNet):
        def forward(self, x):
            raise RuntimeError(f"no pictures of {tuple(x.shape)}")

    (study,) = planted(1)
    bench = bench_of(auditor, Broken(), ("gradcam",), "faithfulness", (study,))
    with pytest.raises(StudyError, match="the model or a map raised RuntimeError"):
        bench.rescored(study, torch.zeros(3, dtype=torch.long), lambda rows: study.x[None].expand(3, -1, -1, -1)[rows])
