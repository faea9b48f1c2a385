"""Every method written a second time: slowly, in float64, from its paper, without autograd.

The gradient of the tail is taken by central finite differences: a hook replaces the layer's output by a perturbed one,
and the score is read again. A method without an oracle, or an oracle without a method, fails a test.
"""

from tests.oracles import attention, attribution, fullgrad, gradients, relevance, rescoring  # noqa: F401 - fills ORACLES
from tests.oracles.base import ORACLES, Case, by_oracle, oracle

__all__ = ["ORACLES", "Case", "by_oracle", "oracle"]
