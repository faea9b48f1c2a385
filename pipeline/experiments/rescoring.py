"""The model asked about a study's changed inputs, many together: one label's score of each, no maps."""

from torch import Tensor, no_grad

from cam.capture import Capture
from cam.inputs.target_keys import resolve_targets
from cam.network.outputs import adapted
from cam.procedures.perturb import Build, rescored
from cam.request import ExplanationRequest
from pipeline.models.arithmetic import arithmetic
from pipeline.walk.auditor import Auditor
from pipeline.walk.explaining import returned_by
from pipeline.walk.own_targets import batch_targets

__all__ = ["rescored_by"]


def rescored_by(auditor: Auditor, x: Tensor, label: str, samples: Tensor, build: Build) -> Tensor:
    """Return the label's scores (1, rows) of the inputs that ``build`` makes of the study ``x`` (1, C, *S).

    They go through the model as many together as is sensible for their size, half of them each time that memory runs
    out, and one by one where the model asks for it. ``samples`` (rows,) are zeros: all rows show the one study. Of a
    segmentation the score is that of the voxels that it gives the label in the study as it is, which costs a forward.
    """
    model, network = auditor.config.model, auditor.network
    returned = returned_by(auditor, x) if model.segmentation else None
    alone, computing = auditor.memory.alone_with(network), arithmetic(auditor.config.run, auditor.device)
    with alone, adapted(network, model.output_name, model.kind), no_grad(), computing:
        known = x.new_zeros(1, len(model.labels)) if returned is None else returned
        asked = batch_targets([[label]], model, returned)
        targets = tuple(resolve_targets(asked, known, regression=model.kind == "regression").values())
        most = 1 if auditor.one_by_one else None
        request = ExplanationRequest(network, x, targets, known, (), Capture({}, known), most)
        return rescored(request, samples, build)
