"""A network cut in two behind a layer, by ``torch.export``: for layers that a skip connection bypasses.

What comes before the layer runs once for each sample; what comes behind it runs for every changed activation, with
the values that the skip connections carry past the layer.
"""

import warnings
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, fx, nn

__all__ = ["Split", "split"]


@dataclass(frozen=True)
class Split:
    """``trunk(x)`` returns what is carried past the layer; ``tail(rows, *carried)`` returns the logits.

    ``by_sample`` tells of each carried value whether it has one entry for each sample.
    """

    trunk: fx.GraphModule
    tail: fx.GraphModule
    by_sample: tuple[bool, ...]


def split(model: nn.Module, layer: str, x: Tensor) -> Split | None:
    """Cut ``model`` behind ``layer`` for inputs like ``x`` (B, C, *S) of any B; None when it cannot be traced or cut.

    ``torch.export`` refuses what depends on data (control flow, shapes) and a batch size that is fixed. An operation
    in place that crosses the cut may be put in another order: compare the parts with the whole before use.
    """
    try:
        whole = _traced(model, layer, x)
    except Exception:  # noqa: BLE001 - a dozen kinds, private ones too; whatever the reason, there is no split
        return None
    return _cut(whole, layer)


def _traced(model: nn.Module, layer: str, x: Tensor) -> fx.GraphModule:
    # the copy marks where the layer ends, even of a layer that computes nothing
    hook = model.get_submodule(layer).register_forward_hook(
        lambda _module, _inputs, output: output.clone(), prepend=True
    )
    try:
        with (
            torch.inference_mode(False),
            torch.no_grad(),
            torch.autocast(x.device.type, enabled=False),
            warnings.catch_warnings(action="ignore"),
        ):
            two = torch.cat([x[:1], x[:1]])  # one row alone would be taken for a fixed number
            dynamic = ({0: torch.export.Dim.DYNAMIC},)
            return torch.export.export(model, (two,), dynamic_shapes=dynamic, strict=False).module()
    finally:
        hook.remove()


def _cut(whole: fx.GraphModule, layer: str) -> Split | None:
    nodes = list(whole.graph.nodes)
    (image,) = [node for node in nodes if node.op == "placeholder"]
    logits = whole.graph.output_node().all_input_nodes
    start = _last_of(layer, nodes)
    if start is None or len(logits) != 1:
        return None
    behind = _behind(start, nodes)
    tail, carried = _with_sources(behind - {start}, nodes, start)
    if logits[0] not in tail or not all(isinstance(node.meta["val"], Tensor) for node in carried):
        return None
    return Split(
        _part(whole, [image], _before(carried, nodes), carried),
        _part(whole, [start, *carried], [node for node in nodes if node in tail], logits),
        tuple(isinstance(node.meta["val"].shape[0], torch.SymInt) for node in carried),
    )


def _last_of(layer: str, nodes: Iterable[fx.Node]) -> fx.Node | None:
    stacks = {node: node.meta.get("nn_module_stack") or {} for node in nodes}
    inside = [node for node, stack in stacks.items() if layer in (path for path, _ in stack.values())]
    return inside[-1] if inside else None


def _behind(start: fx.Node, nodes: Iterable[fx.Node]) -> set[fx.Node]:
    behind = {start}
    for node in nodes:
        if node.op != "output" and not behind.isdisjoint(node.all_input_nodes):
            behind.add(node)
    return behind


def _with_sources(tail: set[fx.Node], nodes: Sequence[fx.Node], start: fx.Node) -> tuple[set[fx.Node], list[fx.Node]]:
    """Return the tail with the weights and sizes it reads, and the trunk's values that have to be carried to it."""
    tail, wanted = set(tail), set[fx.Node]()
    for node in reversed(nodes):
        if node in wanted and (node.op == "get_attr" or isinstance(node.meta.get("val"), int | torch.SymInt)):
            tail.add(node)  # a batch size must be that of the rows, not that of the samples
        if node in tail:
            wanted.update(node.all_input_nodes)
    return tail, [node for node in nodes if node in wanted - tail - {start}]


def _before(wanted: Iterable[fx.Node], nodes: Sequence[fx.Node]) -> list[fx.Node]:
    needed = set(wanted)
    for node in reversed(nodes):
        if node in needed:
            needed.update(node.all_input_nodes)
    return [node for node in nodes if node in needed and node.op != "placeholder"]


def _part(
    whole: fx.GraphModule, inputs: Iterable[fx.Node], nodes: Iterable[fx.Node], outputs: Sequence[fx.Node]
) -> fx.GraphModule:
    graph = fx.Graph()
    copies = {node: graph.placeholder(node.name) for node in inputs}
    for node in nodes:
        copies[node] = graph.node_copy(node, copies.__getitem__)
    graph.output(tuple(copies[node] for node in outputs))
    return fx.GraphModule(whole, graph)
