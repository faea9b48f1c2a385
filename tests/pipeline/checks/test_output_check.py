"""Numbers alone, without autograd's record, are held against what they are said to be."""

import pytest
import torch

from pipeline.checks.output_check import check_outputs
from pipeline.config import ModelConfig
from pipeline.errors import ModelError

LOGITS = torch.tensor([[-6.0], [-2.0], [0.5], [4.0]])


def checked(outputs, output="single_logit", labels=("none", "finding"), **more):
    keys = {"name": "m", "factory": "a:b", "labels": labels, "output": output, **more}
    check_outputs(ModelConfig.model_validate(keys), outputs, outputs)


def test_logits_without_a_record_are_logits():
    checked(LOGITS)
    checked(0.1 * LOGITS + 0.2)  # small, and of either sign


@pytest.mark.parametrize(
    ("squash", "named"), [(torch.sigmoid, "sigmoid or softmax"), (torch.tanh, "tanh"), (torch.special.erf, "tanh")]
)
def test_squashed_numbers_without_a_record_are_refused(squash, named):
    with pytest.raises(ModelError, match=f"ends in a {named} .all outputs lie within"):
        checked(squash(LOGITS))


def test_a_few_small_numbers_with_a_record_may_be_logits():
    checked((0.05 * LOGITS + 0.4).requires_grad_())
    with pytest.raises(ModelError, match="all outputs lie within 0 and 1"):
        checked(torch.tensor([[0.0001], [0.5], [0.99995]]).requires_grad_())


def test_a_constant_says_nothing():
    checked(torch.full((4, 1), 0.95))


@pytest.mark.parametrize(
    ("shape", "output", "labels", "more", "words"),
    [
        ((4, 3), "softmax", ("a", "b"), {}, r"with 2 labels needs 2 output\(s\), but the model returns 3"),
        ((4, 1), "softmax", ("a", "b"), {}, r"needs 2 output\(s\), but the model returns 1"),
        ((4, 3), "logits", ("a", "b"), {}, r"needs 1 or 2 output\(s\), but the model returns 3"),
        ((4, 1), "logits", ("a", "b"), {"multi_label": True}, r"needs 2 output\(s\), but the model returns 1"),
        ((4, 2), "regression", ("a",), {}, r"with 1 labels needs 1 output\(s\), but the model returns 2"),
    ],
)
def test_the_number_of_outputs_follows_from_labels_and_kind(shape, output, labels, more, words):
    with pytest.raises(ModelError, match=words):
        checked(torch.linspace(-3, 3, shape[0] * shape[1]).reshape(shape), output, labels, **more)


def test_outputs_that_are_no_numbers_are_no_probabilities():
    keys = ModelConfig.model_validate({"name": "m", "factory": "a:b", "labels": ["a", "b"], "output": "probability"})
    with pytest.raises(ModelError, match="are NaN or infinite: they are no probabilities"):
        check_outputs(keys, torch.full((1, 2), torch.nan), torch.zeros(0, 2))
