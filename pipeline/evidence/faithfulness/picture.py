"""One picture: every method's order of its blocks and the opponents' that they share, in one line of forwards."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from pipeline.evidence.faithfulness.blocks import BlockGrid, block_grid, ranked
from pipeline.evidence.faithfulness.curves import Curves, Rescore, curves_of
from pipeline.evidence.faithfulness.fills import Fill, blur_fill
from pipeline.evidence.faithfulness.opponents import generator_for, opponents_of

__all__ = ["MapOfPicture", "MapResult", "OpponentResult", "PictureResult", "picture_result"]


@dataclass(frozen=True, eq=False)
class MapOfPicture:
    """A method's map at the input's resolution (*S), rectified where the method is, of the ``target``-th target."""

    name: str
    target: int
    values: Tensor


@dataclass(frozen=True)
class MapResult:
    """What a map's order did: its area, and the scores at each step; None and empty where the map has no order."""

    name: str
    target: int
    area: float | None
    insertion: tuple[float, ...] = ()
    deletion: tuple[float, ...] = ()


@dataclass(frozen=True)
class OpponentResult:
    """A target's areas that all maps are held against; ``best`` of the order of one-block occlusions, if asked for.

    The worst order is the best one backwards, so its area is ``-best``.
    """

    centre: float
    random: tuple[float, ...]
    best: float | None = None


@dataclass(frozen=True)
class PictureResult:
    """``opponents`` are by target, ``maps`` in the order in which they were given."""

    maps: tuple[MapResult, ...]
    opponents: tuple[OpponentResult, ...]


def picture_result(
    x: Tensor,
    maps: Sequence[MapOfPicture],
    rescore: Rescore,
    chance: tuple[int, str],
    *,
    fill: Fill | None = None,
    with_best: bool = False,
) -> PictureResult:
    """Return the areas of the maps of a picture (1, C, *S), and of their opponents.

    ``chance`` are the run's seed and the digest of the study, from which random orders and ties are drawn. Taken blocks
    are blurred, or ``fill`` says otherwise. Costs 2 forwards, 14 for each map with an order and 14 for each of four
    opponents, all targets at once; ``with_best`` one for each block and 14 for each target more.

    Raises:
        ValueError: when the picture has fewer than 8 blocks.
    """
    grid, fill = block_grid(x.shape[2:], x.device), fill or blur_fill(x)
    orders = {}
    for number, given in enumerate(maps):
        means = grid.means(given.values[None])[0]
        order = ranked(means, generator_for(*chance, f"ties of {given.name}, target {given.target}"))
        if order is not None:
            orders[number] = order
    opponents = opponents_of(grid, *chance)
    best = _best_orders(grid, fill, rescore) if with_best else opponents[:0]
    curves = curves_of(
        grid, torch.cat([opponents, best, *(order[None] for order in orders.values())])[None], fill, rescore
    )
    places = {number: len(opponents) + len(best) + place for place, number in enumerate(orders)}
    results = [_map_result(given, curves, places.get(number)) for number, given in enumerate(maps)]
    areas = curves.areas[:, 0]
    return PictureResult(
        tuple(results),
        tuple(
            OpponentResult(
                float(own[0]),
                tuple(own[1 : len(opponents)].tolist()),
                float(own[len(opponents) + target]) if with_best else None,
            )
            for target, own in enumerate(areas)
        ),
    )


def _best_orders(grid: BlockGrid, fill: Fill, rescore: Rescore) -> Tensor:
    """Return, for each target, the blocks by how far the score falls when each alone is taken away, (T, blocks)."""
    keep = ~torch.eye(grid.blocks, dtype=torch.bool, device=grid.device)
    samples = torch.zeros(grid.blocks, dtype=torch.long, device=grid.device)
    scores = rescore(samples, lambda chunk: fill(samples[chunk], grid.voxels(keep[chunk])))
    return scores.to(grid.device).argsort(dim=1, stable=True)


def _map_result(given: MapOfPicture, curves: Curves, place: int | None) -> MapResult:
    if place is None:
        return MapResult(given.name, given.target, None)
    at = given.target, 0, place
    return MapResult(
        given.name,
        given.target,
        float(curves.areas[at]),
        tuple(curves.insertion[at].tolist()),
        tuple(curves.deletion[at].tolist()),
    )
