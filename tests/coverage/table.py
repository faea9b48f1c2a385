"""Every cell, and the tables that their rates make."""

from tests.coverage.areas import AreaCell
from tests.coverage.cells import MeanCell
from tests.coverage.growing import GROWING, LookCell
from tests.coverage.laws import MEANS, RATES
from tests.coverage.others import OTHERS as CLAIMS

DESIGNS = [(patients, repeated) for repeated in (False, True) for patients in (10, 30, 100)]
AREAS = (0.7, 0.8, 0.9, 0.97)
AREA_DESIGNS = [(*sizes, repeated) for repeated in (False, True) for sizes in ((5, 5), (15, 15), (50, 50), (6, 24))]
MEAN_CELLS = tuple(MeanCell(law, *design) for law in (*RATES, *MEANS) for design in DESIGNS)
AREA_CELLS = tuple(AreaCell(area, *design) for area in AREAS for design in AREA_DESIGNS)
OTHERS = (*CLAIMS, *GROWING)
CELLS = (*MEAN_CELLS, *AREA_CELLS, *OTHERS)
QUICK = tuple(
    number
    for number, cell in enumerate(CELLS)
    if cell in OTHERS
    or (cell in MEAN_CELLS and cell.patients < 100 and cell.law.name in ("rate 0.7", "rate 0.9", "beta(3, 0.3)"))
    or (cell in AREA_CELLS and cell.area == 0.8)
)
FULL_COHORTS = {MeanCell: 10_000, AreaCell: 4_000, LookCell: 2_000}
QUICK_COHORTS = {MeanCell: 1_000, AreaCell: 250, LookCell: 100}
BEGIN, END = "<!-- coverage: made by python -m tests.coverage --write -->", "<!-- /coverage -->"
ENTRY = "coverage, false MET, false NOT MET; power where the truth lies 0.05 and 0.10 above the bound"


def simulate(number, quick):
    """Return a cell's number and rates."""
    cell = CELLS[number]
    cohorts = QUICK_COHORTS if quick else FULL_COHORTS
    return number, cell.simulated(cohorts.get(type(cell), cohorts[MeanCell]))


def tables(rates):
    """Return the tables in Markdown; ``rates`` are of cells by number, and what was not simulated is left empty."""
    of_name = {CELLS[number].name: rate for number, rate in rates.items()}
    parts = [
        f"Means, {cohorts_of(of_name, MEAN_CELLS)} cohorts a cell. An entry: {ENTRY} (all %).",
        mean_table(of_name),
        f"Areas under the ROC curve, {cohorts_of(of_name, AREA_CELLS)} cohorts a cell; positive + negative patients.",
        area_table(of_name),
        *claims_of(other_lines(of_name), cohorts_of(of_name, OTHERS)),
    ]
    return "\n\n".join(parts)


def mean_table(of_name):
    heads = [f"n = {patients}, {studies_of(repeated)}" for patients, repeated in DESIGNS]
    return rows_of(
        ["truth", *heads],
        [
            [law.name, *(str(of_name.get(MeanCell(law, *design).name, "")) for design in DESIGNS)]
            for law in (*RATES, *MEANS)
        ],
    )


def area_table(of_name):
    heads = [f"{positives}+{negatives}, {studies_of(repeated)}" for positives, negatives, repeated in AREA_DESIGNS]
    return rows_of(
        ["AUROC", *heads],
        [
            [f"{area:g}", *(str(of_name.get(AreaCell(area, *design).name, "")) for design in AREA_DESIGNS)]
            for area in AREAS
        ],
    )


def claims_of(lines, cohorts):
    """Return the sentence over the table of other claims, and the table; ``lines`` are its rows."""
    head = rows_of(["claim", "smallest n", "middle n", "largest n"], [])
    return f"Other claims at their boundary, {cohorts} cohorts each: false MET (%).", "\n".join([head, *lines])


def other_lines(of_name):
    """Return the row of each other claim that was simulated."""
    return [
        f"| {start_of(cell)} | {' | '.join(f'{rate:.1f}' for rate in of_name[cell.name].false_met)} |"
        for cell in OTHERS
        if cell.name in of_name
    ]


def start_of(cell):
    return f"{cell.name}; n = {', '.join(map(str, cell.patients))}"


def rows_of(head, rows):
    lines = [head, ["---"] * len(head), *(row for row in rows if any(row[1:]))]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def studies_of(repeated):
    return "1 to 5 studies" if repeated else "1 study"


def cohorts_of(of_name, cells):
    return " or ".join(sorted({f"{of_name[cell.name].replicates:,}" for cell in cells if cell.name in of_name})) or "no"


def merged(text, rates):
    """Return a document with the rows of some other claims renewed: what was not simulated stays as it is."""
    before, rest = text.split(BEGIN)
    old, after = rest.split(END)
    of_name = {CELLS[number].name: rate for number, rate in rates.items()}
    known = {line.split("; n = ")[0]: line for line in [*old.splitlines(), *other_lines(of_name)] if "; n = " in line}
    lines = [known[f"| {cell.name}"] for cell in OTHERS if f"| {cell.name}" in known]
    cohorts = " or ".join(sorted({f"{FULL_COHORTS.get(type(cell), FULL_COHORTS[MeanCell]):,}" for cell in OTHERS}))
    unchanged = old.split("Other claims at their boundary")[0].strip()
    made = "\n\n".join([unchanged, *claims_of(lines, cohorts)])
    return document(f"{before}{BEGIN}{old}{END}{after}", made)


def document(text, made):
    """Return a document with the tables between its marks renewed."""
    before, rest = text.split(BEGIN)
    after = rest.split(END)[1]
    return f"{before}{BEGIN}\n\n{made}\n\n{END}{after}"
