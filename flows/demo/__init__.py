"""The demonstration: a synthetic archive of real files, a sound and a shortcut model for each modality, four audits.

May import the studies' data types and the model loader of ``pipeline``, and what writes image files. Not the command
line: ``camaudit demo`` asks for a folder, and the audits that follow are ordinary ones.
"""

from collections.abc import Callable
from pathlib import Path

from flows.demo.archive import write_archive
from flows.demo.configs import KINDS, MODALITIES, write_config
from flows.demo.train import draw_training_set, train_model, write_bundle

__all__ = ["make_demo"]


def make_demo(folder: Path, seed: int = 0, on_step: Callable[[str], None] = lambda _text: None) -> tuple[Path, ...]:
    """Write the archive, the four models and their ``audit.yaml`` into ``folder``; return the paths of the last.

    ``on_step`` is told in words what comes next. The same seed gives the same files.

    Raises:
        FileExistsError: when ``folder`` holds a demo already.
    """
    on_step("drawing the archive: 40 radiographs, 16 CT volumes, two readers' masks")
    write_archive(folder / "archive", seed)
    configs = []
    for modality in MODALITIES:
        on_step(f"drawing {modality.patients} other patients to train on ({modality.name})")
        pictures = draw_training_set(modality, seed)
        for kind in KINDS:
            on_step(f"training the {kind} model ({modality.name})")
            network = train_model(modality, kind, pictures, seed)
            write_bundle(network, modality, kind, folder / "models" / f"{modality.name}-{kind}")
            configs.append(write_config(modality, kind, folder, seed))
    return tuple(configs)
