"""A draft as the text of ``audit.yaml``: every value that was guessed says from what."""

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import yaml

from flows.drafting.archive_draft import ArchiveDraft
from flows.drafting.guess import Guess, known
from flows.drafting.model_draft import ModelDraft, ModelSource
from flows.drafting.profiles import Profile

__all__ = ["Draft", "config_text", "next_steps"]

_WIDTH = 10**6  # one value, one line: comments stand behind it


@dataclass(frozen=True)
class Draft:
    """All that a first configuration is written from; ``path`` is where."""

    path: Path
    profile: Profile
    archive: ArchiveDraft
    source: ModelSource
    model: ModelDraft


def config_text(draft: Draft) -> str:
    """Return the text of ``audit.yaml``."""
    parts = (_head, _archive, _model, _prepare, _explain, _criteria, _change, _report, _run)
    return "".join(f"{line}\n" for part in parts for line in part(draft))


def _head(draft: Draft) -> Iterator[str]:
    profile = draft.profile
    yield f"# {profile.title} (camaudit init --profile {profile.name})"
    yield from (f"# {comment}" for comment in profile.comments)
    yield "# What is marked GUESS was read off archive or model: look at it, then take the mark away."
    yield "# Next:"
    yield from (f"#   {step}" for step in next_steps(draft))
    yield _line("name", known(draft.model.name))


def next_steps(draft: Draft) -> list[str]:
    """Return the commands that come next, in their order."""
    return [step.format(file=draft.path.name, audit=f"runs/{draft.model.name}") for step in draft.profile.next_steps]


def _archive(draft: Draft) -> Iterator[str]:
    archive = draft.archive
    yield "archive:"
    yield _line("path", known(_relative(archive.path, draft)), 1)
    made = "written by camaudit init: its column 'doubts' says what to look at" if archive.written else ""
    yield _line("manifest", Guess(_relative(archive.manifest, draft), made), 1)
    yield f"  # {archive.studies} studies of {archive.patients} patients; {archive.referenced} with a label stated,"
    yield f"  # {archive.masked} with an expert's mask; labels: {_counts(archive.labels)}"


def _model(draft: Draft) -> Iterator[str]:
    source = draft.source
    places = {"bundle": source.bundle, "factory": source.factory, "weights": source.weights}
    yield f"model:  # takes {draft.model.input_note}"
    for key, guess in draft.model.keys.items():
        yield _line(key, guess, 1)
        if key == "name":
            for place, value in places.items():
                if value is not None:
                    yield _line(place, known(_relative(value, draft) if isinstance(value, Path) else value), 1)
    yield _line("layers", Guess("auto", "the last layer that all of the evidence passes; camaudit check names it"), 1)
    labels = draft.model.keys["labels"].value
    foreign = [label for label in draft.archive.labels if isinstance(labels, list) and label not in labels]
    if foreign:
        yield f"  # LOOK: the archive's labels {', '.join(map(_flow, foreign))} are none of the model's"
    yield "  # training_data: what the model was trained on, in words"


def _prepare(draft: Draft) -> Iterator[str]:
    yield "prepare:  # MONAI's array transforms, as in training: a wrong scaling makes every number wrong"
    yield from (f"  - {_flow(step.value)}{_mark(step)}" for step in draft.model.steps)
    yield from (f"  # LEFT OUT {note}" for note in draft.model.notes)


def _explain(draft: Draft) -> Iterator[str]:
    yield "explain:"
    yield _line("methods", known(["gradcam", "hirescam", "layercam"]), 1)
    has_reference = draft.archive.has_labels or draft.archive.has_masks
    targets = draft.profile.targets if has_reference else "predicted"
    lacking = "" if targets == draft.profile.targets else "the archive states no label: what the model called is mapped"
    yield _line("targets", Guess(targets, lacking), 1)


def _criteria(draft: Draft) -> Iterator[str]:
    wanted, archive = draft.profile.criteria, draft.archive
    usable = [criterion for criterion in wanted if (archive.has_masks if "method" in criterion else archive.has_labels)]
    if usable:
        yield "criteria:  # what has to hold; the bounds are yours to state, and are locked before the first look"
        yield from (f"  - {_flow(criterion)}{_mark(Guess(criterion, 'an example'))}" for criterion in usable)
    else:
        yield "criteria: []  # without a criterion there is no verdict"
    for criterion in wanted:
        if criterion not in usable:
            lacks = "masks" if "method" in criterion else "labels"
            yield f"  # - {_flow(criterion)}  # needs {lacks}, which the archive does not hold"


def _change(draft: Draft) -> Iterator[str]:
    if draft.profile.margins:
        yield "change:"
        why = "an example: by how much less is still not worse"
        yield _line("margins", Guess(dict(draft.profile.margins), why), 1)


def _report(draft: Draft) -> Iterator[str]:
    yield "report:"
    yield _line("title", Guess(f"Saliency audit of {draft.model.name}", "a title of your own"), 1)
    yield "  # organisation, prepared_by, intended_use, reference_standard: what no file tells"
    if draft.profile.name == "change":
        yield "  # predecessor: runs/OLD  # the audit, or the run, of the version in use"


def _run(draft: Draft) -> Iterator[str]:
    yield "run:"
    yield _line("output", known("runs"), 1)
    yield _line("seed", known(0), 1)
    if draft.profile.keep is not None:
        yield "keep:  # what a schedule removes after a run: never a signed run, nor one that another refers to"
        yield _line("nightly", Guess(draft.profile.keep, "how many finished runs stay"), 1)


def _line(key: str, guess: Guess, depth: int = 0) -> str:
    return f"{'  ' * depth}{key}: {_flow(guess.value)}{_mark(guess)}"


def _mark(guess: Guess) -> str:
    return f"  # GUESS: {guess.why}" if guess.why else ""


def _flow(value: object) -> str:
    """Return a value as YAML in one line."""
    plain = dict(value) if isinstance(value, Mapping) else value
    text = yaml.safe_dump(plain, default_flow_style=True, sort_keys=False, width=_WIDTH, allow_unicode=True)
    return text.removesuffix("\n").removesuffix("\n...")


def _relative(path: Path, draft: Draft) -> str:
    """Return a path as it is written in the file: from its folder where it lies below, else whole."""
    whole, folder = path.resolve(), draft.path.resolve().parent
    return os.fspath(whole.relative_to(folder)) if whole.is_relative_to(folder) else os.fspath(whole)


def _counts(labels: Mapping[str, int]) -> str:
    most: Sequence[str] = [f"{' '.join(label.split())} {count}" for label, count in labels.items()][:12]
    return ", ".join(most) if most else "none"
