"""Where the maps have their peaks, and how their evidence divides into regions."""

from typing import Final

from pipeline.findings.plotted.shares import AvoidedShares, ShareRegion
from pipeline.findings.results import Results
from pipeline.vocabulary import PEAK_REGIONS, STRATA, Stratum
from reports.charts.shares import share_bars
from reports.numbers import count, number, plural
from reports.page.layout import Flowable, columns, note, paragraph, subheading, table, together
from reports.registry import Context, section
from reports.wording import method, methods_in_order, stratum

_REGIONS: Final[tuple[ShareRegion, ...]] = ("lesion", "avoided", "body", "surface", "outside", "border")


@section(96, "Where the evidence lies")
def build(context: Context) -> list[Flowable]:
    """Return the peaks, counted; a bar for each map in the first stratum, and one of a map that is flat."""
    results = context.results
    peaks, avoided = _peaks(results), _avoided(results)
    if not results.region_shares:
        nothing = "No map could be divided into regions: that takes a map, a mask and what the model was shown."
        return [*peaks, paragraph(nothing), *avoided]
    among = next(among for among in STRATA if any(shares.among == among for shares in results.region_shares))
    return [*peaks, together(_of_stratum(results, among)), note(_READING), *avoided]


_NO_PRAISE = (
    "Regions that must not be leaned on, as the manifest marks them. They are no findings: none of this evidence "
    "counts for a map, and a lesion's scores do not know of them. More evidence in a region than its share of the "
    "picture is reason to look, and no proof that the model uses it: coarse maps bleed into what lies beside a lesion. "
    "Whether the answer depends on a region shows when the region is painted over."
)


def _avoided(results: Results) -> list[Flowable]:
    """Return a row for each region to avoid and map; nothing where no region is marked."""
    if not results.avoided:
        return []
    shape = columns(
        ("Region to avoid", 30), ("Map", 28), ("Share of evidence", 20, True), ("Share of picture", 20, True),
        ("Patients with more", 20, True), ("Not known", 16, True),
    )  # fmt: skip
    regions = dict.fromkeys(shares.region for shares in results.avoided)
    names = methods_in_order(results, dict.fromkeys(shares.method for shares in results.avoided))
    by_place = {(shares.region, shares.method): shares for shares in results.avoided}
    rows = [_avoided_row(results, by_place[region, name]) for region in regions for name in names]
    return [*subheading("Evidence in regions to avoid"), paragraph(_NO_PRAISE), table(shape, rows)]


def _avoided_row(results: Results, shares: AvoidedShares) -> tuple[str, ...]:
    return (
        shares.region,
        method(results, shares.method),
        number(shares.evidence, like=(1.0,)),
        number(shares.area, like=(1.0,)),
        f"{shares.above} of {shares.patients}",
        str(shares.unknown),
    )


_READING = (
    "Shares of a map's positive evidence, as means over patients. The last bar is the picture: a map that is the same "
    "everywhere has these shares, so evidence is held against it. The body is what stands out in the model's input, "
    "its surface a band on both sides of its edge."
)


def _peaks(results: Results) -> list[Flowable]:
    """Return where each method's peaks lie, counted, in the studies with the finding."""
    counted = [part for part in results.whereabouts if part.among == "reference_positive"]
    if not counted:
        return []
    regions = [
        region for region in PEAK_REGIONS if region == "lesion" or any(region in part.regions for part in counted)
    ]  # that no peak lies on a finding is what a reader came for
    whose = "the picture" if counted[0].axes == 2 else "the patient"
    shape = columns(
        ("Peaks of", 20),
        ("Maps", 8, True),
        *((PEAK_REGIONS[region], 20, True) for region in regions),
        (f"Most often, of {whose}", 24),
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
    about = (
        "Each map's highest point in studies whose finding an expert marked. At the body's surface: close to the skin, "
        "to either side."
    )
    return [together([table(shape, rows, compact=True), note(about)])]


def _of_stratum(results: Results, among: Stratum) -> list[Flowable]:
    of_maps = {shares.method: shares for shares in results.region_shares if shares.among == among}
    rows = [(method(results, name), of_maps[name].evidence) for name in methods_in_order(results, of_maps)]
    largest = max(of_maps.values(), key=lambda shares: (shares.studies, shares.patients))
    rows.append(("Share of the picture", largest.voxels))
    counts = f"{plural(largest.studies, 'study', 'studies')} of {plural(largest.patients, 'patient')}"
    title = f"{stratum(among)}: {counts}"
    regions: dict[ShareRegion, str] = {
        region: "in a region to avoid" if region == "avoided" else PEAK_REGIONS[region] for region in _REGIONS
    }
    return [*subheading(title)[1:], share_bars(rows, regions)]
