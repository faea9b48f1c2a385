"""What this audit did not measure."""

from pipeline.findings.results import Results
from reports.numbers import plural
from reports.page.layout import Flowable, bullets, side_by_side, small, together
from reports.page.text import bold
from reports.registry import Context, section
from reports.statements import not_stated
from reports.wording import is_baseline, method

_SANITY = "Whether the maps depend on the trained weights (randomisation of the model's weights)."
_STABILITY = "Whether maps hold under noise, compression or shift."
_FAITHFULNESS = "Whether the maps are faithful to the model (change of the output when marked blocks are removed)."
_SHORTCUTS = (
    "Whether the model relies on shortcuts such as text markers, tubes, borders or the site. High overlap does not "
    "rule that out."
)
_OTHER_CAUSES = (
    "Whether the model relies on anything but the causes that were tested: anatomy, age, another disease, the site."
)
_STANDING = (
    "Repeatability of maps across re-trained versions of the model.",
    "The work of people together with the model, and any benefit or harm to patients.",
)


@section(140, "Not measured")
def build(context: Context) -> list[Flowable]:
    """Return the gaps of the method and of this run."""
    results = context.results
    tried = results.experiments
    gaps = [_SANITY] if tried.sanity is None else _without_weights(results)
    gaps += [_FAITHFULNESS] if tried.faithfulness is None else []
    gaps += [_SHORTCUTS if tried.shortcuts is None else _OTHER_CAUSES]
    gaps += [*_STANDING, *([_STABILITY] if tried.stability is None else [])]
    if not any(is_baseline(estimate.method) for estimate in results.estimates):
        gaps.append("In this run: baselines.")
    if not any(estimate.group is not None for estimate in results.estimates):
        gaps.append("In this run: subgroups.")
    if all(agreement.estimate.value is None for agreement in results.agreements):
        gaps.append("In this run: agreement between experts.")
    if not results.changes:
        gaps.append("In this run: change. None came before it, and no predecessor was named.")
    gaps.append(_independence(results))
    half = -(-len(gaps) // 2)
    both = side_by_side(bullets(gaps[:half], compact=True), bullets(gaps[half:], compact=True))
    return [together([small("Nothing in this report speaks to the following."), both, *_not_stated(results)])]


def _without_weights(results: Results) -> list[str]:
    """Return the maps of which nobody could tell whether they depend on what the model learnt."""
    checks = results.experiments.sanity.checks if results.experiments.sanity else ()
    unknown = [
        method(results, str(check.method))
        for check in checks
        if check.check == "weight_randomisation" and check.answer == "INCONCLUSIVE"
    ]
    return [f"{_SANITY[:-1]}: of {', '.join(unknown)} that was not found out."] if unknown else []


def _independence(results: Results) -> str:
    overlap = results.training_overlap
    if overlap is None:
        return "Whether the studies are independent of the training data: no hashes of it were given."
    unknown = results.flow.found - overlap.checked
    more = f", and {plural(unknown, 'study', 'studies')} that could not be looked up" if unknown > 0 else ""
    return f"Whether the training data hold other images of these patients than the files that were looked up{more}."


def _not_stated(results: Results) -> list[Flowable]:
    """Gather all that the configuration could have stated and did not, in one list."""
    missing = not_stated(results)
    if not missing:
        return []
    return [small(bold("Not stated: "), f"{'; '.join(missing)}.")]
