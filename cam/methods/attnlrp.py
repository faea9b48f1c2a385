"""AttnLRP."""

from functools import partial

from cam.procedures.attention_rules import attention_rules
from cam.procedures.linear_rules import LinearRule, Rules
from cam.procedures.relevance import Propagation, relevance
from cam.registry import procedure
from cam.request import ExplanationRequest, RawMaps

_MOST = 1000


@procedure(
    "attnlrp",
    title="AttnLRP (LRP for transformers)",
    paper="Achtibat et al., ICML 2024, arXiv:2402.05602",
    formula="the score, handed back through attention, norms, perceptrons and the patches' projection to the image's "
    "values; summed over the input's channels",
    limits="As lrp. A softmax and the biases keep a part, so the map does not sum to the score; the note tells what "
    "arrives. An attention that is causal or masked by key, and any operation without a rule, is refused.",
    signed=True,
    at="input",
    cost="1 that keeps its graph, and a backward for each target",
    forwards=lambda work, _given: work.samples * (1 + 2 * work.targets),
    differs="denominators get their epsilon added whatever their sign; for vision transformers nothing passes the "
    "softmax (CP-LRP), and gamma is another for the patches' projection than for linear layers.",
)
def attnlrp(request: ExplanationRequest, *, epsilon: float = 1e-6, gamma: float = 0.0) -> RawMaps:
    """Return sum_c R_c, the relevance R of the image's values: maps (T, B, *S).

    Equations 8 to 18 of the paper: linear layers by the epsilon rule, or with ``gamma`` above 0 by that of gamma, as
    the paper has it for vision transformers; two factors that depend on the image share alike; a softmax by its first
    Taylor term; a layer normalisation with its spread held; an activation passes on what arrives. A network without
    attention is explained as ``lrp`` does by these rules.

    Raises:
        ValueError: for an epsilon or gamma out of range, or as ``relevance``: an operation without a rule is named.
    """
    if not 0 < epsilon <= 1 or not 0 <= gamma <= _MOST:
        raise ValueError(
            f"attnlrp.epsilon must be above 0 and at most 1, gamma within 0 and {_MOST}, not {epsilon}, {gamma}"
        )
    kind: LinearRule = "gamma" if gamma else "epsilon"
    rules = Rules(kind, kind, None, epsilon, gamma)
    values, note = relevance(request, Propagation("attnlrp", partial(attention_rules, rules)))
    return RawMaps(values.sum(dim=2), note)
