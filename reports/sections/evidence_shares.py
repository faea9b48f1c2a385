"""How the maps' evidence divides into regions."""

from typing import Final

from pipeline.findings.plotted.shares import ShareRegion
from pipeline.findings.results import Results
from pipeline.vocabulary import PEAK_REGIONS, STRATA, Stratum
from reports.charts.shares import share_bars
from reports.numbers import plural
from reports.page.layout import Flowable, note, paragraph, subheading, together
from reports.registry import Context, section
from reports.wording import method, methods_in_order, stratum

_REGIONS: Final[tuple[ShareRegion, ...]] = ("lesion", "body", "surface", "outside", "border")


@section(96, "Where the evidence lies")
def build(context: Context) -> list[Flowable]:
    """Return a bar for each map in the first stratum, and below them what a map has that is the same everywhere."""
    results = context.results
    if not results.region_shares:
        return [
            paragraph("No map could be divided into regions: that takes a map, a mask and what the model was shown.")
        ]
    among = next(among for among in STRATA if any(shares.among == among for shares in results.region_shares))
    return [together(_of_stratum(results, among)), note(_READING)]


_READING = (
    "Shares of the positive evidence of a map, as means over patients. The last bar is the picture itself: a map that "
    "is the same everywhere has these shares, so evidence has to be held against it and not against nothing. The body "
    "is what stands out in the model's input; its surface is a band on both sides of its edge. Other strata are in "
    "results.json."
)


def _of_stratum(results: Results, among: Stratum) -> list[Flowable]:
    of_maps = {shares.method: shares for shares in results.region_shares if shares.among == among}
    rows = [(method(results, name), of_maps[name].evidence) for name in methods_in_order(results, of_maps)]
    largest = max(of_maps.values(), key=lambda shares: (shares.studies, shares.patients))
    rows.append(("Share of the picture", largest.voxels))
    counts = f"{plural(largest.studies, 'study', 'studies')} of {plural(largest.patients, 'patient')}"
    title = f"{stratum(among)}: {counts}"
    regions: dict[ShareRegion, str] = {region: PEAK_REGIONS[region] for region in _REGIONS}
    return [*subheading(title)[1:], share_bars(rows, regions)]
