import os
from dataclasses import replace

import numpy as np
import pyarrow.parquet as pq
import pytest

from pipeline.errors import OutputError
from pipeline.files import written
from pipeline.findings.carried import Carried
from pipeline.findings.recipes import Recipes
from pipeline.findings.scores import MapScores, PairAgreement, Score
from pipeline.findings.shards import (
    load_map,
    map_digest,
    maps_by_study,
    read_answers,
    read_shard,
    write_maps,
    write_shard,
)
from pipeline.findings.study_audit import InputFacts, RefusedMask, StudyAudit

SCORES = (Score(name="iou", value=0.25), Score(name="hit_rate", reason="constant_map"))
ANALYSED = StudyAudit(
    study="S-1", patient="P-1", source_sha256="ab", status="analysed", reference=("nodule",), predicted=(),
    probabilities={"clear": 0.75, "nodule": 0.25}, strata={"site": "A", "sex": ""}, facts={"modality": "DX"},
    masks=1, mask_faults=(RefusedMask(reader="c", label=None, reason="truncated", message="m", masks=3),),
    model_input=InputFacts(shape=(1, 4, 5), minimum=-1.0, mean=0.25, maximum=2.0, deviation=0.5),
    agreement=(PairAgreement(label="nodule", readers=("a", "b"), scores=SCORES[:1]),),
    map_scores=(
        MapScores(target="nodule", method="gradcam", layer="l", reader="a", map="maps/0000.npz#k", map_sha256="cd",
                cell_mm=(1.0, 2.5), seen_share=1.0, mask_share=0.5, scores=SCORES),
        MapScores(target="nodule", method="centre_prior", layer=None, reader=None, degenerate=True),
    ),
)  # fmt: skip
FAILED = StudyAudit(
    study="S-2", patient="P-1", source_sha256="", status="failed", stage="read", reason="truncated", message="m"
)
PLACES = {("gradcam", "l"): "one", ("centre_prior", ""): "two"}
RECIPES = Recipes("study", "masks", PLACES, {place: f"scores of {made}" for place, made in PLACES.items()})
NEGATIVE = StudyAudit(study="S-3", patient="P-3", source_sha256="x", status="analysed", reference=())


def test_a_shard_comes_back_as_it_went(tmp_path):
    path = tmp_path / "shards" / "0000.parquet"
    write_shard(path, [ANALYSED, FAILED, NEGATIVE], RECIPES)
    assert read_shard(path) == [ANALYSED, FAILED, NEGATIVE]
    assert read_answers(path, RECIPES) == [Carried(study) for study in (ANALYSED, FAILED, NEGATIVE)]
    assert pq.read_table(path).num_rows == 4  # one a finding, one for each study without


def test_an_empty_shard_is_a_shard(tmp_path):
    write_shard(tmp_path / "s.parquet", [], RECIPES)
    assert read_shard(tmp_path / "s.parquet") == []


def test_maps_come_back_with_their_affine(tmp_path):
    values, affine = np.arange(6, dtype=np.float32).reshape(2, 3), np.diag([1.0, 2, 3, 1])
    write_maps(tmp_path / "maps" / "0000.npz", {"k": values, "k/affine": affine})
    entry = ANALYSED.map_scores[0].model_copy(update={"map_sha256": map_digest(values)})
    found, where = load_map(tmp_path, entry)
    assert np.array_equal(found, values)
    assert found.dtype == np.float32
    assert np.array_equal(where, affine)
    with pytest.raises(OutputError, match="missing or damaged"):
        load_map(tmp_path, entry.model_copy(update={"map": "maps/0000.npz#other"}))
    with pytest.raises(OutputError):
        load_map(tmp_path, entry.model_copy(update={"map_sha256": "cd"}))


def test_maps_come_study_by_study_from_every_file(tmp_path):
    studies = []
    for number in range(3):
        file = f"maps/000{number % 2}.npz"
        keys = [f"S-{number}/{method}" for method in ("gradcam", "hirescam")]
        sha256 = map_digest(np.full((2, 2), number, np.float32))
        updates = [{"map": f"{file}#{key}", "map_sha256": sha256} for key in keys]
        map_scores = [ANALYSED.map_scores[0].model_copy(update=update) for update in updates]
        studies.append(ANALYSED.model_copy(update={"study": f"S-{number}", "map_scores": (*map_scores, *map_scores)}))
    for file in (0, 1):
        arrays = {
            f"S-{n}/{m}": np.full((2, 2), n, np.float32) for n in (file, file + 2) for m in ("gradcam", "hirescam")
        }
        write_maps(tmp_path / "maps" / f"000{file}.npz", arrays)
    found = list(maps_by_study(tmp_path, [*studies, FAILED, NEGATIVE]))
    assert sorted(audit.study for audit, _ in found) == ["S-0", "S-1", "S-2"]
    for audit, maps in found:
        assert list(maps) == [f"{audit.study}/gradcam", f"{audit.study}/hirescam"]
        assert {float(one.max()) for one in maps.values()} == {float(audit.study[2:])}
    (tmp_path / "maps" / "0001.npz").unlink()
    with pytest.raises(OutputError, match="missing or damaged"):
        list(maps_by_study(tmp_path, studies))


def test_a_failed_write_leaves_nothing(tmp_path):
    def interrupted():
        with written(tmp_path / "file") as file:
            file.write(b"half")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert list(tmp_path.iterdir()) == []


def test_a_failed_write_leaves_the_old_file(tmp_path):
    (tmp_path / "file").write_bytes(b"old")

    def fail():
        with written(tmp_path / "file") as file:
            file.write(b"new")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()
    assert (tmp_path / "file").read_bytes() == b"old"
    assert len(list(tmp_path.iterdir())) == 1


def test_a_full_disk_is_one_clear_line(tmp_path):
    def write():
        with written(tmp_path / "file"):
            raise OSError(28, os.strerror(28))

    with pytest.raises(OutputError, match="cannot be written: No space left on device"):
        write()
    assert list(tmp_path.iterdir()) == []


def test_garbage_is_not_a_shard(tmp_path):
    (tmp_path / "s.parquet").write_bytes(b"PAR1 no")
    with pytest.raises(OutputError, match="cannot be read as a shard"):
        read_shard(tmp_path / "s.parquet")


def test_a_shard_of_another_version_is_no_shard_of_this(tmp_path):
    """A column that is not there would read as nothing: no faults of masks, where nobody had looked for them."""
    path = tmp_path / "s.parquet"
    write_shard(path, [ANALYSED], RECIPES)
    pq.write_table(pq.read_table(path).drop_columns(["mask_faults"]), path)
    with pytest.raises(OutputError, match="of another version"):
        read_answers(path, RECIPES)


def test_only_what_answers_to_the_same_recipe_is_an_answer(tmp_path):
    path = tmp_path / "s.parquet"
    write_shard(path, [ANALYSED, FAILED, NEGATIVE], RECIPES)
    other_map = replace(RECIPES, maps={**RECIPES.maps, ("gradcam", "l"): "another"})
    kept, *rest = read_answers(path, other_map)
    assert [entry.method for entry in kept.audit.map_scores] == ["centre_prior"]
    assert kept.audit.model_copy(update={"map_scores": ANALYSED.map_scores}) == ANALYSED
    assert kept.holds
    assert rest == [Carried(FAILED), Carried(NEGATIVE)]
    (gone, *_) = read_answers(path, replace(RECIPES, maps={}))
    assert gone.audit.map_scores == ()
    assert read_answers(path, replace(RECIPES, study="another")) == []


def test_a_map_whose_scores_answer_to_another_recipe_is_kept_and_is_stale(tmp_path):
    path = tmp_path / "s.parquet"
    write_shard(path, [ANALYSED, NEGATIVE], RECIPES)
    other_scores = replace(RECIPES, scores={**RECIPES.scores, ("gradcam", "l"): "another threshold"})
    kept, negative = read_answers(path, other_scores)
    assert kept == Carried(ANALYSED, frozenset({("nodule", "gradcam", "l")}))
    assert not kept.holds
    assert negative.holds
    write_shard(path, [kept], other_scores)
    assert read_answers(path, other_scores) == [kept]  # what is stale stays so until it is measured again


def test_what_was_read_of_masks_answers_to_their_recipe(tmp_path):
    path = tmp_path / "s.parquet"
    write_shard(path, [NEGATIVE], RECIPES)
    assert [one.masks_hold for one in read_answers(path, replace(RECIPES, masks="another"))] == [False]
