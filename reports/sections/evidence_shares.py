"""Where the maps have their peaks, and how their evidence divides into regions."""

from typing import Final

from pipeline.findings.plotted.shares import ShareRegion
from pipeline.findings.results import Results
from pipeline.vocabulary import PEAK_REGIONS, STRATA, Stratum
from reports.charts.shares import share_bars
from reports.numbers import count, plural
from reports.page.layout import Flowable, columns, note, paragraph, subheading, table, together
from reports.registry import Context, section
from reports.wording import method, methods_in_order, stratum

_REGIONS: Final[tuple[ShareRegion, ...]] = ("lesion", "body", "surface", "outside", "border")


@section(96, "Where the evidence lies")
def build(context: Context) -> list[Flowable]:
    """Return the peaks, counted; a bar for each map in the first stratum, and one of a map that is flat."""
    results = context.results
    peaks = _peaks(results)
    if not results.region_shares:
        nothing = "No map could be divided into regions: that takes a map, a mask and what the model was shown."
        return [*peaks, paragraph(nothing)]
    among = next(among for among in STRATA if any(shares.among == among for shares in results.region_shares))
    return [*peaks, together(_of_stratum(results, among)), note(_READING)]


_READING = (
    "Shares of a map's positive evidence, as means over patients. The last bar is the picture: a map that is the same "
    "everywhere has these shares, so evidence is held against it. The body is what stands out in the model's input, "
    "its surface a band on both sides of its edge. Other strata are in results.json."
)


def _peaks(results: Results) -> list[Flowable]:
    """Return where each method's peaks lie, counted, in the studies with the finding."""
    counted = [part for part in results.whereabouts if part.among == "reference_positive"]
    if not counted:
        return []
    regions = [region for region in PEAK_REGIONS if any(region in part.regions for part in counted)]
    shape = columns(
        ("Map", 20), ("Maps", 8, True), *((PEAK_REGIONS[region], 15, True) for region in regions), ("Most often", 22)
    )
    rows = [
        (
            method(results, part.method),
            count(part.maps),
            *(count(part.regions.get(region, 0)) for region in regions),
            "; ".join(f"{place} {count(many)}" for place, many in list(part.places.items())[:2]) or "constant",
        )
        for part in counted
    ]
    whose = "the picture" if counted[0].axes == 2 else "the patient"
    about = (
        "Each map's highest point in studies whose finding an expert marked. At the body's surface: close to the skin, "
        f"to either side. Most often: the third of {whose}."
    )
    return [together([*subheading("Peaks")[1:], table(shape, rows, compact=True), note(about)])]


def _of_stratum(results: Results, among: Stratum) -> list[Flowable]:
    of_maps = {shares.method: shares for shares in results.region_shares if shares.among == among}
    rows = [(method(results, name), of_maps[name].evidence) for name in methods_in_order(results, of_maps)]
    largest = max(of_maps.values(), key=lambda shares: (shares.studies, shares.patients))
    rows.append(("Share of the picture", largest.voxels))
    counts = f"{plural(largest.studies, 'study', 'studies')} of {plural(largest.patients, 'patient')}"
    title = f"{stratum(among)}: {counts}"
    regions: dict[ShareRegion, str] = {region: PEAK_REGIONS[region] for region in _REGIONS}
    return [*subheading(title)[1:], share_bars(rows, regions)]
