"""A forward whose every operation is answered by a rule: for methods that send something else back than the gradient.

Hooks on modules see neither functions nor sums, and a module that is called twice only once. So the operations
themselves are caught, whoever calls them: what an operation does with a value that was made of the image is decided by
a table of rules, and what is in no table is refused by its name.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode
from torch.utils._pytree import tree_leaves, tree_map

from cam.layers.hooks import hookable
from cam.network.graph import GradThroughout, depends_on

__all__ = ["Operation", "Rewriting", "Rule", "carried_back", "rewritten"]

_SHAPE_ALONE = frozenset(("zeros_like", "ones_like", "empty_like", "full_like"))
_LEAVE_TORCH = frozenset(("item", "tolist", "numpy", "__float__", "__array__"))


@dataclass(frozen=True)
class Operation:
    """One operation of the forward: the function with its arguments, those of them that were made of the image.

    ``module`` is the name of the innermost module that runs. ``again`` lets a rule that takes an operation apart have
    its parts answered by rules too.
    """

    function: Callable[..., Any]
    name: str
    args: tuple[Any, ...]
    kwargs: Mapping[str, Any]
    given: tuple[Tensor, ...]
    module: str
    again: Callable[[], AbstractContextManager[object]]

    def argument(self, place: int, name: str, default: object = None) -> Any:  # noqa: ANN401 - of any operation
        """Return an argument of the operation by its place or name."""
        return self.args[place] if place < len(self.args) else self.kwargs.get(name, default)

    def on(self, values: Sequence[Tensor]) -> Any:  # noqa: ANN401 - what the operation returns
        """Run the operation with ``values`` in place of those that were made of the image, in their order."""
        waiting = list(values)
        made = {id(tensor) for tensor in self.given}

        def put(argument: object) -> object:
            return waiting.pop(0) if isinstance(argument, Tensor) and id(argument) in made else argument

        args, kwargs = tree_map(put, (self.args, dict(self.kwargs)))
        return self.function(*args, **kwargs)

    def leaves(self) -> tuple[Tensor, ...]:
        """Return what was made of the image, free to be differentiated by."""
        return tuple(tensor.detach().requires_grad_() for tensor in self.given)


Rule = Callable[[Operation], Any]
"""Answers an operation: returns what it returns, of values that carry back what the rule sends."""


class Rewriting(TorchFunctionMode):
    """Answers every operation on what was made of ``image`` by the rule of its name.

    ``modules`` are the names of those that run, the innermost last.
    """

    def __init__(self, method: str, rules: Mapping[str, Rule], image: Tensor) -> None:
        super().__init__()
        self._method, self._rules, self._image = method, rules, image
        self._made = {id(image): image}  # as long as a tensor lives, no other has its id
        self.modules: list[str] = []

    def __torch_function__(self, function, types, args=(), kwargs=None):  # type: ignore[no-untyped-def] # noqa: ANN001, ANN204
        kwargs = kwargs or {}
        tensors = [leaf for leaf in tree_leaves((args, kwargs)) if isinstance(leaf, Tensor)]
        given = tuple(tensor for tensor in tensors if id(tensor) in self._made)
        self._check_unseen(tensors)
        name = _name_of(function)
        if not given or name in _SHAPE_ALONE or name.startswith("new_"):
            return function(*args, **kwargs)
        if name in self._rules:
            self._check_record(name)
            call = Operation(function, name, tuple(args), kwargs, given, self._module, lambda: self)
            return self._remember(self._rules[name](call))
        if name in _LEAVE_TORCH:
            raise ValueError(f"method {self._method!r} cannot follow {name!r}, which leaves torch, in {self._module}")
        result = function(*args, **kwargs)
        if (result is None and function.__name__ != "__get__") or any(_is_value(leaf) for leaf in tree_leaves(result)):
            raise ValueError(
                f"method {self._method!r} has no rule for {name!r}, which is used in {self._module}: "
                "take integrated_gradients, which needs none"
            )
        return result

    def is_made_of_the_image(self, value: object) -> bool:
        """Tell whether a value came from the image by operations that were answered."""
        return id(value) in self._made

    def _remember(self, result: Any) -> Any:  # noqa: ANN401 - whatever the operation returned
        self._made |= {id(leaf): leaf for leaf in tree_leaves(result) if _is_value(leaf)}
        return result

    def _check_record(self, name: str) -> None:
        """Refuse what runs inside an autograd function, whose own backward would be followed instead of the rule."""
        if not torch.is_grad_enabled():
            raise ValueError(
                f"method {self._method!r} cannot follow {name!r} inside an autograd function of the model's own, in "
                f"{self._module}: take integrated_gradients, which needs no rules"
            )

    def _check_unseen(self, tensors: Sequence[Tensor]) -> None:
        """Refuse what was made of the image by an operation that nothing here has seen, as an autograd function."""
        for tensor in tensors:
            if tensor.grad_fn is not None and id(tensor) not in self._made and depends_on(tensor, self._image):
                raise ValueError(
                    f"method {self._method!r} has no rule for {tensor.grad_fn.name()!r}, which is used in "
                    f"{self._module}: take integrated_gradients, which needs none"
                )

    @property
    def _module(self) -> str:
        return repr(self.modules[-1]) if self.modules and self.modules[-1] else "the model itself"


@contextmanager
def rewritten(method: str, model: nn.Module, rules: Mapping[str, Rule], image: Tensor) -> Iterator[Rewriting]:
    """Let every operation of ``model`` on ``image`` be answered by a rule inside the block; hooks are removed after.

    Raises:
        ValueError: when an operation has no rule, naming it and the module that it is in.
    """
    mode = Rewriting(method, rules, image)

    def leave(*_given: object) -> None:
        mode.modules.pop()

    hooks = []
    try:
        for name, module in hookable(model):
            hooks.append(module.register_forward_pre_hook(lambda _module, _given, name=name: mode.modules.append(name)))
            hooks.append(module.register_forward_hook(leave))
        with mode, GradThroughout():  # a detached value and a block without gradients are part of the forward too
            yield mode
    finally:
        for hook in hooks:
            hook.remove()


def carried_back(value: Tensor, send: Callable[[Tensor], Sequence[Tensor]], *inputs: Tensor) -> Tensor:
    """Return ``value`` as made of ``inputs``, with ``send`` in place of the derivative.

    ``send`` takes what comes back at the value and returns what goes on to each of the inputs.
    """
    made: Tensor = _CarriedBack.apply(value.detach(), send, *inputs)  # type: ignore[no-untyped-call]
    return made


class _CarriedBack(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, value: Tensor, send: Callable[[Tensor], Sequence[Tensor]], *_inputs: Tensor) -> Tensor:  # noqa: ANN401 - torch's own context
        ctx.send = send
        return value.view_as(value)

    @staticmethod
    def backward(ctx: Any, *arrived: Tensor) -> Any:  # noqa: ANN401 - one for each input
        with torch.enable_grad():
            return (None, None, *(sent.detach() for sent in ctx.send(arrived[0].detach())))


def _name_of(function: Callable[..., Any]) -> str:
    name = getattr(function, "__name__", str(function))
    return getattr(function.__self__, "__name__", name) if name == "__get__" and hasattr(function, "__self__") else name


def _is_value(leaf: object) -> bool:
    return isinstance(leaf, Tensor) and (leaf.is_floating_point() or leaf.is_complex())
