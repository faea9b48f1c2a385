"""What a DICOMweb server holds at a glance: each study, and of how many instances it says that it is (QIDO-RS)."""

from functools import partial

from pipeline.errors import ArchiveError
from pipeline.studies.dicomweb.client import DicomWebServer, study_counts
from pipeline.studies.dicomweb.scan import paged
from pipeline.studies.index.arrivals import Listing
from pipeline.studies.untrusted.workers import WorkerPool

__all__ = ["server_listing"]


def server_listing(server: DicomWebServer, pool: WorkerPool) -> Listing:
    """Return each study's UID with its Number of Study Related Instances (0020,1208); nothing else is asked for.

    An instance that takes another's place in the same number is not seen: the next run, whatever starts it, sees it.

    Raises:
        ArchiveError: when the server does not list its studies, or does not tell that number of one: a study that grows
            could not be told from one that is whole.
    """
    counts = dict(paged(partial(study_counts, server), pool))
    if not all(count.isascii() and count.isdigit() for count in counts.values()):
        raise ArchiveError(
            f"the DICOMweb server {server.host} does not tell how many instances a study has (0020,1208), so that "
            "nothing tells when one has arrived whole; use --every"
        )
    return {study: (int(count), 0, 0) for study, count in counts.items()}
