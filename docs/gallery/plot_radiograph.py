"""
A right answer for the wrong reason
===================================

Two networks of one architecture tell ill from healthy radiographs. One learned from pictures in which a burned-in
letter says nothing; in the pictures of the other the letter stands beside every lesion. Both are right. A map shows
which of them looked at the lesion, and a number says so without a look.
"""

# sphinx_gallery_thumbnail_number = 1
import numpy as np
from phantoms import radiograph, trained

import camaudit

# %%
# The sound network sees the letter as often beside healthy pictures as beside ill ones.

sound = trained(lambda rng, ill: radiograph(rng, ill=ill, marker=rng.random() < 0.5), axes=2)
shortcut = trained(lambda rng, ill: radiograph(rng, ill=ill, marker=ill), axes=2)

# %%
# A patient of whom neither has seen a picture. ``explain`` takes the array as it is: with its affine it would lie in
# the patient, without one distances are in pixels.

patient = radiograph(np.random.default_rng(2026), ill=True, marker=True)
maps = {
    name: camaudit.explain(model, patient.image, target=1, methods=["gradcam", "hirescam"])
    for name, model in (("sound", sound), ("shortcut", shortcut))
}
maps["sound"].show(patient.lesion)

# %%
# The other network, the same patient: the map lies on the letter.

maps["shortcut"].show(patient.lesion)

# %%
# Numbers instead of pictures. ``hit_rate`` asks whether the map's maximum lies in the mask, ``energy_in_mask`` how
# much of the map does; chance is printed beside both.

scores = {name: found.overlap(patient.lesion)["gradcam"] for name, found in maps.items()}
for name, overlap in scores.items():
    print(name, overlap["hit_rate"], overlap["energy_in_mask"], sep="\n  ")

# %%
# That a map lies beside the lesion is a hint, not a proof: coarse maps bleed. An audit therefore also paints over the
# letter, and over an equal area elsewhere, and counts the answers that turn: see :doc:`/experiments`.

hits = {name: overlap["hit_rate"].value for name, overlap in scores.items()}
assert hits["sound"] == 1
assert hits["shortcut"] == 0
