"""What the register costs a start after many nights: ``python -m tests.benchmarks.runs.register [NIGHTS STUDIES]``.

Looks under the lock of a cohort that grew evenly are written, and read as a start reads them. Beside that stands one
pass over the whole lists of images that lie there too, of which a start once made two; and a line more in the log of
as many nights that brought nothing new.
"""

import argparse
import hashlib
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from pipeline.findings.custody.ledger import Ledger
from pipeline.findings.custody.register import LookFacts, Register, enter_look, read_register
from pipeline.findings.custody.seen_studies import had_as
from pipeline.findings.custody.site_key import SiteKey
from pipeline.findings.custody.study_lists import list_content, read_study_list, write_study_list

NIGHTS, STUDIES = 400, 20_000


def digest(number: object) -> str:
    """Return a hash, made up."""
    return hashlib.sha256(str(number).encode()).hexdigest()


LOCK, WEIGHTS = digest("lock"), digest("weights")


def written(folder: Path, key: SiteKey, nights: int, images: Sequence[str]) -> None:
    """Write a register of so many looks, the last at all of the images."""
    lines = [had_as(image, digest(image)) for image in images]
    enter_look(key, LookFacts("0000", WEIGHTS, LOCK), images[:1], folder, had=lines[:1])
    ledger, before = Ledger(folder / "register.jsonl", key), 1
    for night in range(1, nights):
        until = 1 + (len(images) - 1) * night // (nights - 1)
        names = (images[:until], lines[before:until])
        cohort, contents = (write_study_list(folder, list_content(own)) for own in names)
        look = {"run": f"{night:04}", "weights": WEIGHTS, "lock": LOCK, "cohort": cohort, "contents": contents}
        ledger.append("look", **look)
        before = until


def seen(register: Register, images: Sequence[str]) -> None:
    """Ask what a start asks of the looks under its lock."""
    looks = register.seen(LOCK)
    here, contents = ({text.encode() for text in texts} for texts in (images, map(digest, images)))
    assert not looks.gone(here)
    assert not looks.altered(here, contents)
    assert len(looks.first_of(images)) == len(images)


def whole_lists(register: Register, images: Sequence[str]) -> None:
    """Go through the whole list of each look."""
    here, gone = {image.encode() for image in images}, set[bytes]()
    for entry in register.entries:
        if entry.event == "look":
            gone |= frozenset(read_study_list(register.folder, entry.body["cohort"])) - here
    assert not gone


def seconds(function: Callable[..., object], *arguments: object) -> float:
    """Return the CPU seconds of a call."""
    before = time.process_time()
    function(*arguments)
    return time.process_time() - before


def main() -> None:
    """Print all of it."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("nights", type=int, nargs="?", default=NIGHTS)
    parser.add_argument("studies", type=int, nargs="?", default=STUDIES)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder, key = Path(name) / "register", SiteKey(Ed25519PrivateKey.generate())
        images = [digest(number) for number in range(given.studies)]
        written(folder, key, given.nights, images)
        register = read_register(folder)
        log = Ledger(Path(name) / "nights.jsonl", key)
        for _ in range(given.nights):
            log.append("night.nothing_new", run="run", command="command")
        print(f"{given.nights} nights, {given.studies:,} studies, CPU seconds: ", end="")
        print(
            f"register {seconds(read_register, folder):.2f}, what looks had {seconds(seen, register, images):.2f}, ",
            end="",
        )
        print(f"a pass over whole lists {seconds(whole_lists, register, images):.2f}, ", end="")
        print(f"a line more in the log {seconds(lambda: Ledger(log.path, key).append('night.nothing_new')):.2f}")


if __name__ == "__main__":
    main()
