"""What is tried on the model itself: each family of experiments is a part that costs nothing while it is not there."""

from typing import Annotated, Any, ClassVar

from pydantic import BeforeValidator, Field

from pipeline.config_part import ConfigPart, listed
from pipeline.vocabulary import FAMILIES, AskedScore, Family

__all__ = [
    "ExperimentsConfig",
    "FaithfulnessConfig",
    "FamilyConfig",
    "SanityConfig",
    "ShortcutsConfig",
    "StabilityConfig",
]


class FamilyConfig(ConfigPart):
    """What every family has: on how many studies it is tried, one a patient.

    ``prefers_findings`` tells whether studies with a finding are taken first; else every label, the negative one too,
    has its turn.
    """

    prefers_findings: ClassVar[bool] = True

    studies: Annotated[int, Field(ge=1)] = 8


class SanityConfig(FamilyConfig):
    """Whether maps repeat, follow the picture, and follow the trained weights.

    ``draws``: how often all weights are drawn anew. Fewer studies or draws than four and three would pass or fail by
    chance. Methods that run the model once a channel or more are tried on half of the studies, with three draws.
    """

    studies: Annotated[int, Field(ge=4, le=1000)] = 8
    draws: Annotated[int, Field(ge=3, le=100)] = 5


class ShortcutsConfig(FamilyConfig):
    """What a classifier leans on beside the lesion: studies changed in one respect at a time, in about 14 ways each.

    Labels have their turn, the negative one too: changes are taken from studies of the other label. Fewer than ten
    studies show too little; twenty found as much as eighty where a model leans on a cause in every positive.
    """

    prefers_findings: ClassVar[bool] = False

    studies: Annotated[int, Field(ge=10, le=1000)] = 40


class StabilityConfig(FamilyConfig):
    """How far maps and answers move under noise, a shift, a window, coarser storage, other choices of the preparation.

    Figures, and one bound. ``common_frame``: the studies are registered to one frame (an atlas), so that maps of
    different patients with one label can be compared; nothing in a file tells so, and without it none are.
    """

    studies: Annotated[int, Field(ge=4, le=1000)] = 8
    common_frame: bool = False


class FaithfulnessConfig(FamilyConfig):
    """Whether the blocks that a map ranks high move the answer: insertion minus deletion, by sign tests over patients.

    ``studies``: below 20 patients even right maps are rarely shown to beat a centre blob. ``best_order`` finds each
    study's best order by occluding block after block, which makes areas comparable between models; ``second_look``
    does all once more with ROAD's fill, as a figure. ``finer_look`` looks into the blocks that each map ranks first,
    halved, for lesions smaller than a block: a figure, too. ``also`` are numbers that reviewers ask for and that are
    known to mislead: they are printed as that and never judged.
    """

    studies: Annotated[int, Field(ge=10, le=1000)] = 20
    best_order: bool = False
    second_look: bool = False
    finer_look: bool = False
    also: Annotated[tuple[AskedScore, ...], BeforeValidator(listed)] = ()


class ExperimentsConfig(ConfigPart):
    """The families that are tried; one that is left out is not."""

    sanity: SanityConfig | None = None
    shortcuts: ShortcutsConfig | None = None
    stability: StabilityConfig | None = None
    faithfulness: FaithfulnessConfig | None = None

    @property
    def families(self) -> dict[Family, FamilyConfig]:
        """The families that are tried, in their order, with their settings."""
        settings = {family: getattr(self, family) for family in FAMILIES}
        return {family: given for family, given in settings.items() if given is not None}

    def locked_content(self) -> dict[str, Any]:
        """Return what a lock fixes of it: nothing where no family is tried."""
        families = {family: given.model_dump(mode="json") for family, given in self.families.items()}
        return {"experiments": families} if families else {}
