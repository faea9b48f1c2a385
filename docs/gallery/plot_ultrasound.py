"""
Several methods, one table
==========================

Speckle is noise that grows with the signal, and a lesion here is where there is less of it. Six methods look at the
same answer. Some of them are one and the same map for this network, which is said before they are counted as
evidence.
"""

import numpy as np
from phantoms import trained, ultrasound

import camaudit

model = trained(lambda rng, ill: ultrasound(rng, ill=ill), axes=2, pooled="mean")
patient = ultrasound(np.random.default_rng(5), ill=True)
methods = ["gradcam", "gradcampp", "hirescam", "layercam", "eigencam", "saliency"]
image = (patient.image, patient.affine)
maps = camaudit.explain(model, image, target="lesion", labels=["clear", "lesion"], methods=methods)
maps.show(patient.lesion)

# %%
# Behind a mean over all places and one linear layer, Grad-CAM and HiResCAM are the same evidence: agreement between
# them shows nothing.

for layer, groups in maps.explanation.equivalent.items():
    print(f"layer {layer}:", "; ".join(" = ".join(group) for group in groups))

# %%
# Every metric of every map, against one mask. What has no value has a reason.

table = maps.overlap(patient.lesion)
table

# %%
# Chance is the first rival: the share of the picture that the mask covers.

gradcam = table["gradcam"]
print(gradcam["energy_in_mask"])
assert gradcam["energy_in_mask"].value > 2 * patient.lesion.mean()
assert any({"gradcam", "hirescam"} <= set(group) for groups in maps.explanation.equivalent.values() for group in groups)
