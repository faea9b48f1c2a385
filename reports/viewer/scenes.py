"""What of a case can be looked at: its volume in three planes, or the single planes that a run keeps without one."""

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.findings.pictures.panels import CasePanels, View
from pipeline.findings.pictures.volumes import CaseVolume, KeptMap
from reports.viewer.payload import ArrayStore

__all__ = ["payload_of_panels", "payload_of_volume"]

_STEPS = 32_767  # 16 bits of either sign


def payload_of_volume(volume: CaseVolume, said: Mapping[str, Any]) -> bytes:
    """Return a volume as the page reads it, one scene, with what is ``said`` of it."""
    store = ArrayStore()
    image, small = volume.image, volume.small
    scene = {
        "title": "",
        "shape": volume.shape,
        "affine": volume.affine.tolist(),
        "unit": volume.unit,
        "oriented": volume.oriented,
        "planes": [asdict(plane) for plane in volume.planes],
        "image": {
            "values": store.keep(image.values),
            "shape": image.values.shape,
            "origin": image.origin,
            "scale": image.scale,
            "offset": image.offset,
            "error": image.error,
        },
        "small": None
        if small is None
        else {
            "webp": store.keep(np.frombuffer(small.webp, np.uint8)),
            "shape": small.shape,
            "strides": small.strides,
            "columns": small.columns,
            "low": small.low,
            "high": small.high,
        },
        "masks": _masks(store, volume.masks),
        "maps": {name: _map(store, kept) for name, kept in volume.maps.items()},
    }
    return store.with_header({"picture": said, "scenes": [scene]})


def _masks(store: ArrayStore, masks: Mapping[str, NDArray[np.bool_]]) -> dict[str, object]:
    return {reader: store.keep(np.packbits(mask.ravel())) for reader, mask in masks.items()}


def _map(store: ArrayStore, kept: KeptMap) -> dict[str, object]:
    return {
        "values": store.keep(kept.values),
        "shape": kept.values.shape,
        "step": kept.step.tolist(),
        "seenStep": kept.seen_step.tolist(),
        "rectified": kept.rectified,
        "scale": 1.0,
        "error": 0.0,
    }


def payload_of_panels(panels: CasePanels, said: Mapping[str, Any]) -> bytes:
    """Return the planes that are no projection of others as scenes; maps are in 32,767 steps of their largest value."""
    store = ArrayStore()
    views = [view for view in panels.views if view.role != "maximum"]
    return store.with_header({"picture": said, "scenes": [_scene(store, panels, view) for view in views]})


def _scene(store: ArrayStore, panels: CasePanels, view: View) -> dict[str, Any]:
    rows, columns = view.image.shape
    number = "" if view.number is None else f" {view.number} of {view.planes}"
    at = "" if view.position_mm is None else f" at {view.position_mm:.1f} {panels.length_unit}"
    plane = {
        "name": view.plane,
        "axis": None,
        "order": (0, 1),
        "flips": (),
        "pixel_mm": view.pixel_mm,
        "letters": view.letters,
    }
    return {
        "title": f"{view.plane} plane{number}{at}: {view.caption}",
        "shape": (rows, columns),
        "affine": None,
        "unit": panels.length_unit,
        "oriented": any(view.letters),
        "planes": [plane],
        "image": _exact(store, view.image),
        "small": None,
        "masks": _masks(store, view.masks),
        "maps": {name: _plane_map(store, values, view.seen) for name, values in view.maps.items()},
    }


def _exact(store: ArrayStore, image: NDArray[np.float32]) -> dict[str, object]:
    low, high = float(image.min()), float(image.max())
    whole = low >= -_STEPS - 1 and high <= _STEPS and bool((image == np.rint(image)).all())
    scale = 1.0 if whole else (high - low) / (2 * _STEPS) or 1.0
    offset = 0.0 if whole else (high + low) / 2
    steps = np.rint((image.astype(np.float64) - offset) / scale)
    return {
        "values": store.keep(np.clip(steps, -_STEPS - 1, _STEPS).astype(np.int16)),
        "shape": image.shape,
        "origin": (0, 0),
        "scale": scale,
        "offset": offset,
        "error": 0.0 if whole else scale / 2,
    }


def _plane_map(store: ArrayStore, values: NDArray[np.float32], seen: NDArray[np.bool_]) -> dict[str, object]:
    scale = float(np.abs(values).max()) / _STEPS or 1.0
    return {
        "values": store.keep(np.rint(values / scale).astype(np.int16)),
        "shape": values.shape,
        "step": np.eye(4).tolist(),
        "seenStep": np.eye(4).tolist(),
        "seen": store.keep(np.packbits(seen.ravel())),
        "rectified": False,
        "scale": scale,
        "error": scale / 2,
    }
