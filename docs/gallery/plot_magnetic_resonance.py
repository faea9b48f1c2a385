"""
Which layer, and how far a cell looks
=====================================

A map is taken at a layer. Early layers are fine and see textures, late ones are coarse and see lesions; a coil's
bias field makes brightness useless to both. ``auto`` takes the last layer that all of the evidence passes.
"""

import numpy as np
from phantoms import magnetic_resonance, trained

import camaudit

model = trained(lambda rng, ill: magnetic_resonance(rng, ill=ill), axes=2)
patient = magnetic_resonance(np.random.default_rng(11), ill=True)
image = (patient.image, patient.affine)

# %%
# The layer that ``auto`` takes, with its reason.

chosen = camaudit.explain(model, image, target=1, methods=["layercam"])
print(*chosen.explanation.notes.values(), sep="\n")
chosen.show(patient.lesion)

# %%
# Three layers by name, Layer-CAM at each: the cells grow from one pixel to two.

layers = ["2", "5", "11"]
maps = camaudit.explain(model, image, target=1, methods=["layercam"], layers=layers)
maps.show(patient.lesion)

# %%
for layer in layers:
    placed = maps["layercam", layer]
    height, width = placed.cells.array.shape[:2]
    print(f"layer {layer}: {height} x {width} cells, {placed.overlap(patient.lesion)['hit_rate']}")

assert maps["layercam", "2"].cells.array.size > maps["layercam", "11"].cells.array.size
