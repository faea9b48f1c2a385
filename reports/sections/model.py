"""The model's identity."""

from collections.abc import Mapping

from pipeline.findings.context.cohort import TrainingOverlap
from pipeline.findings.facts import LayerFacts, ModelFacts
from reports.numbers import count, number, plural
from reports.page.layout import COLUMN, Flowable, bullets, callout, facts, note, small, subheading
from reports.page.text import Markup, bold, digest, joined
from reports.registry import Context, section
from reports.statements import stated
from reports.wording import by, cells, label_of, nothing_called


@section(144, "Model identity", in_columns=True)
def build(context: Context) -> list[Flowable]:
    """Return what was audited, exactly enough to find it again."""
    model = context.results.model
    labels = ", ".join(f"{index} = {label}" for index, label in enumerate(model.labels))
    identity = facts(
        [
            ("Model", f"{model.name}, version {model.version}"),
            ("Weights SHA-256", digest(model.sha256)),
            ("Architecture", f"{model.architecture}, {plural(model.parameters, 'parameter')}; from {model.source}"),
            ("Outputs", f"{labels} (index = label)"),
            ("Output", f"{_OUTPUT[model.output]}; {_called(model)}"),
            ("Maps explain", _explained(model)),
            ("Training data", model.training_data),
            *stated(context.results, "independence"),
            *_looked_up(context.results.training_overlap),
            *(("Note", text) for text in (*model.notes, *([_ALONE] if model.one_by_one else []))),
        ],
        label=0.25,
        width=COLUMN,
    )
    return [
        identity,
        *_trained_on(context),
        *_one_answer_for_all(context),
        *_wrong_way_round(context),
        *subheading("Layers that the maps come from"),
        *_layers(context),
        *(_choice(layer) for layer in model.layers if layer.reason),
    ]


_OUTPUT: Mapping[str, str] = {
    "softmax": "logits, to probabilities by softmax",
    "sigmoid": "logits, to probabilities by a sigmoid each",
    "single_logit": "one logit, to a probability by sigmoid",
    "logits": "logits",
    "probability": "probabilities, mapped back to logits for the maps",
    "regression": "numbers (regression)",
}

_ALONE = (
    "studies were shown to the model one at a time: its answer for one study depends on the others of a batch, or it "
    "takes no batch"
)


def _explained(model: ModelFacts) -> str:
    """Return which number of the model's a map explains."""
    if model.output == "regression":
        return "the number itself: what raises it is evidence for it"
    logit = "the logit before the probability" if model.output == "probability" else "the label's logit"
    if model.segmentation:
        return (
            f"{logit}, summed over the voxels that the model itself calls so, or at the likeliest where it calls none"
        )
    return logit


def _looked_up(overlap: TrainingOverlap | None) -> list[tuple[str, object]]:
    """Return against what the cohort's files were held, where a list of the training data's hashes was given."""
    if overlap is None:
        return []
    hashes = f"{plural(overlap.hashes, 'hash', 'hashes')} (list SHA-256 "
    looked_up = f"{plural(overlap.checked, 'study', 'studies')} looked up by the hashes of their image files; "
    many = f"{plural(len(overlap.studies), 'study', 'studies')} of {plural(overlap.patients, 'patient')} among them"
    words = joined(
        hashes, digest(overlap.list_sha256), f"): {looked_up}{many if overlap.studies else 'none among them'}"
    )
    return [("Files of the training data", words)]


_NAMED = 12


def _trained_on(context: Context) -> list[Flowable]:
    """Warn where the model was trained on files of the cohort: what is said of these studies is no test."""
    overlap = context.results.training_overlap
    if overlap is None or not overlap.studies:
        return []
    rest = len(overlap.studies) - _NAMED
    names = ", ".join(overlap.studies[:_NAMED]) + (f" and {count(rest)} more in results.json" if rest > 0 else "")
    share = f"{count(len(overlap.studies))} of {plural(overlap.checked, 'study', 'studies')}"
    words = f"The model was trained on image files of {share}: {names}. They are counted in every figure all the same."
    return [callout(small(bold("Not independent of the training data. "), words), colour=_WARNING, width=COLUMN)]


def _wrong_way_round(context: Context) -> list[Flowable]:
    """Say so where the model ranks studies against a label: its outputs may be in another order than its labels."""
    wrong = [
        f"{label_of(estimate) or 'the finding'} (AUROC {number(estimate.value)}, at most {number(estimate.high)})"
        for estimate in context.results.classification
        if estimate.metric == "auroc" and estimate.high is not None and estimate.high < _CHANCE
    ]
    if not wrong:
        return []
    words = (
        f"{'; '.join(wrong)}: studies with the label get the lower probabilities. Are labels and outputs in one order?"
    )
    return [callout(small(bold("The wrong way round. "), words), colour=_WARNING, width=COLUMN)]


def _one_answer_for_all(context: Context) -> list[Flowable]:
    """Say so where the model called the same of every study although the references differ: it tells nothing apart."""
    called, reference = (
        context.results.cohort_facts.get(column, {}) for column in ("called by the model", "reference")
    )
    if len(called) != 1 or len(reference) < 2:
        return []
    (answer,) = called
    words = (
        f"The model calls {answer} in each of the {sum(called.values())} studies, whatever their reference: at this "
    )
    words += "threshold it tells nothing apart."
    if answer != nothing_called(context.results):
        words += " Whatever is said of its true positives is said of all positives."
    return [callout(small(bold("One answer for all. "), words), colour=_WARNING, width=COLUMN)]


def _choice(layer: LayerFacts) -> Flowable:
    """Return why a layer was taken, and what goes past it; as a warning where that is most."""
    share = "it is not known how much of the gradient at the input goes past it, as there is none"
    if layer.past is not None:
        share = f"{number(layer.past, like=(1.0,), more=1)} of the gradient at the input goes past it"
    taken = (
        f"auto took {layer.name}, {layer.reason}" if layer.requested == "auto" else f"{layer.name} was {layer.reason}"
    )
    if layer.past is None or layer.past <= _MOST_PAST:
        return note(f"{taken}; {share} (measured on noise).")
    consequence = " A map of it shows a part of the network, not what the output rests on."
    return callout(
        small(bold("Most goes past this layer. "), f"{taken}; {share}.{consequence}"), colour=_WARNING, width=COLUMN
    )


_MOST_PAST, _CHANCE, _SMALLEST_SHOWN, _WARNING = 0.5, 0.5, 0.001, "#7a4d00"


def _called(model: ModelFacts) -> str:
    """Return by what rule a label is called."""
    if model.output == "regression":
        return "nothing is called"
    is_tiny = model.threshold < _SMALLEST_SHOWN
    above = f"called above {model.threshold:.1e}" if is_tiny else f"called above {number(model.threshold, more=1)}"
    if model.segmentation:
        above += " in any voxel"
    if model.has_independent_labels:
        return f"each label by itself, {above}"
    return f"{model.labels[1]} is {above}" if len(model.labels) == 2 else "the most probable label is called"


def _layers(context: Context) -> list[Flowable]:
    layers = context.results.model.layers
    if not layers:
        return [small("No layer was explained.")]
    return [*bullets(map(_layer, layers), compact=True), note(_BESIDE)]


def _layer(layer: LayerFacts) -> Markup:
    """Return how fine a layer is, and how far from where it is drawn it looks."""
    shift = f"{by(number(shift) for shift in layer.shift_mm)} {layer.unit}" if layer.shift_mm else "not measurable"
    grid = f": grid {by(layer.shape)}, cell {cells(layer)}, looks beside {shift}"
    return joined(bold(layer.name), f" (asked for: {layer.requested})", grid, ".")


_BESIDE = (
    "Cell: smallest to largest over the studies, where they differ; the rest is the first study's. Looks beside: how "
    "far from where it is drawn the middle cell really looks, by gradients on noise; maps are not moved by it."
)
