"""Slips in where things lie: planes as a reader expects them, peaks and their regions, what is near, whose body."""

from tests.mutants import of

PLANES, CASES = "tests/pipeline/evidence/test_planes.py", "tests/pipeline/conclusions/test_cases.py"
PEAKS, NEAR = "tests/pipeline/evidence/test_whereabouts.py", "tests/pipeline/evidence/test_within_reach.py"
BODY = "tests/pipeline/evidence/test_shown_body.py"
ENGINE = "tests/pipeline/evidence/test_engine.py"

MUTANTS = [
    *of(
        "pipeline/evidence/planes.py",
        ("array.max(axis=self.axis) if self.index is None", "array.mean(axis=self.axis) if self.index is None"),
        ("if self.order[0] > self.order[1]:", "if self.order[0] < self.order[1]:"),
        ("np.flip(plane, self.flips)", "np.flip(plane, ())"),
        ("size - 1 - here if way in self.flips", "size - here if way in self.flips"),
        ("at = [int(index[axis]) for axis in self.order]", "at = [int(at) for at in index[:2]]"),
        ("sizes = [shape[axis] for axis in self.order]", "sizes = shape[:2]"),
        ("geometry.affine[:3, :2] / geometry.spacing", "geometry.affine[:3, :2]"),
        ("max(abs(along[0, 1]), 0.5)", "max(abs(along[0, 1]), 0.0)"),
        ("max(abs(along[0, 1]), 0.5)", "0.5"),
        ("abs(along[0, 0]) > max(", "along[0, 0] > max("),
        ("rows, columns = (1, 0) if sideways", "rows, columns = (0, 1) if sideways"),
        (
            "1 if abs(along[1, rows]) > abs(along[2, rows]) else 2",
            "1 if abs(along[1, rows]) < abs(along[2, rows]) else 2",
        ),
        ("(downwards > 0, along[0, columns] > 0)", "(downwards < 0, along[0, columns] > 0)"),
        ("(downwards > 0, along[0, columns] > 0)", "(downwards > 0, along[0, columns] < 0)"),
        ("letters[axis][::-1] if number in flips", "letters[axis] if number in flips"),
        (
            "(geometry.spacing[rows], geometry.spacing[columns]),\n        (left",
            "(geometry.spacing[0], geometry.spacing[1]),\n        (left",
        ),
        ("sides / np.linalg.norm(sides, axis=0), full", "sides, full"),
        ("np.argsort(-np.square(turned).max(axis=0), kind", "np.argsort(np.square(turned).max(axis=0), kind"),
        ("    turned[along] = 0  #", "    pass  #"),
        ("1 if column[along] >= 0 else -1", "1"),
        ("spacing.max() > 1.01 * np.median(spacing)", "spacing.max() > 2 * np.median(spacing)"),
        ("spacing.max() > 1.01 * np.median(spacing)", "spacing.max() > np.median(spacing)"),
        ("return int(spacing.argmax())", "return int(spacing.argmin())"),
        ("patient_axes(geometry.affine)[:, 0] == 2)[0]", "patient_axes(geometry.affine)[:, 0] == 1)[0]"),
        ("if world_axes[array_axis, 1] > 0)", "if world_axes[array_axis, 1] < 0)"),
        ("0: (2, 1), 1: (2, 0)", "0: (1, 2), 1: (2, 0)"),
        ("(bottom, top), (right, left) = ends", "(top, bottom), (right, left) = ends"),
        ("(bottom, top), (right, left) = ends", "(bottom, top), (left, right) = ends"),
        ("if geometry.oriented else", "if True else"),
        (
            "spacing = (geometry.spacing[rows], geometry.spacing[columns])",
            "spacing = (geometry.spacing[columns], geometry.spacing[rows])",
        ),
        ("plane_at(geometry, through_plane(geometry), None)", "plane_at(geometry, 0, None)"),
        ("return (column + 0.5) / columns, (row + 0.5) / rows", "return (row + 0.5) / rows, (column + 0.5) / columns"),
        ("return (column + 0.5) / columns, (row + 0.5) / rows", "return column / columns, row / rows"),
        ("1 - share if way > 0 else share", "share"),
        ("(int(index[axis]) + 0.5) / geometry.shape[axis]", "(int(index[axis]) + 0.5) / geometry.shape[world]"),
        tests=(PLANES, CASES, PEAKS),
    ),
    *of(
        "pipeline/evidence/whereabouts.py",
        ("_BORDER = 0.02", "_BORDER = 0.03"),
        ("index = tied[np.argmin(np.square(tied - tied.mean(axis=0)).sum(axis=1))]", "index = tied[0]"),
        (
            "region = _of_picture(index, geometry) or region_at(position)",
            "region = region_at(position) or _of_picture(index, geometry)",
        ),
        ("    if region is None:\n        return None\n", ""),
        ("region=_of_lesion(index, evidence, marked) or region", "region=region"),
        ("body_region=region,", "body_region=_of_lesion(index, evidence, marked) or region,"),
        ("or not len(marked.indices)", ""),
        ("    if not marked.geometry.scaled:", "    if False:"),
        ("away <= evidence.limits.tolerance_mm * ON_THE_LINE", "away < evidence.limits.tolerance_mm"),
        ("int(_BORDER * size)", "round(_BORDER * size)"),
        ("at < band or at >= size - band", "at <= band or at >= size - band"),
        ("at < band or at >= size - band", "at < band or at > size - band"),
        (
            '((shares[1], "upper", "lower"), (shares[0], "left", "right"))',
            '((shares[0], "upper", "lower"), (shares[1], "left", "right"))',
        ),
        ('(shares[1], "front", "back")', '(shares[1], "back", "front")'),
        ('(shares[0], "right", "left"))', '(shares[0], "left", "right"))'),
        ("low if share < 1 / 3 else high", "high if share < 1 / 3 else low"),
        ("if not 1 / 3 <= share <= 2 / 3]", "if not 1 / 4 <= share <= 3 / 4]"),
        tests=(PEAKS,),
    ),
    *of(
        "pipeline/evidence/within_reach.py",
        ("left = reach**2 - sum(", "left = reach - sum("),
        ("lines[min(int(left**0.5 / spacing[-1]), far[-1])]", "lines[far[-1]]"),
        ("        grown[..., cells:] |= part[..., :-cells]\n", ""),
        ("grown[..., cells:] |= part[..., :-cells]", "grown[..., cells:] |= grown[..., :-cells]"),
        ("for cells in range(1, far + 1):", "for cells in range(1, far):"),
        ("slice(max(-cells, 0), min(-cells, 0) or None)", "slice(max(cells, 0), min(cells, 0) or None)"),
        (
            "anisotropy=tuple(spacing), black_border=False, parallel=1)\n        return np.asarray(away <= reach)\n",
            "black_border=False, parallel=1)\n        return np.asarray(away <= reach)\n",
        ),
        tests=(NEAR,),
    ),
    *of(
        "pipeline/evidence/shown_body.py",
        (
            'if not self.inside.any():\n            return np.full(shape, names.index("outside"), np.uint8)',
            "if False:\n            pass",
        ),
        ("min(int(_FINEST_MM * ON_THE_LINE / spacing), size // fewest)", "int(_FINEST_MM * ON_THE_LINE / spacing)"),
        ("_FINEST_MM * ON_THE_LINE / spacing", "_FINEST_MM / spacing"),
        ("min(int(_FINEST_MM * ON_THE_LINE / spacing), size // fewest)", "1"),
        ("others = inside[box] != inside[at]", "others = ~inside[box]"),
        ("largest = np.flatnonzero(voxels == voxels.max())", "largest = np.flatnonzero(voxels > 0)"),
        (
            "for along, size in zip(index, inside.shape, strict=True))",
            "for along, size in zip(index[::-1], inside.shape, strict=True))",
        ),
        ("_filled(part, (None,)) if part.any() else part", "part"),
        tests=(BODY, "tests/pipeline/evidence/test_baselines.py", PEAKS),
    ),
    *of(
        "pipeline/evidence/engine.py",
        ("grid, self.plan.seen, names.method", "grid, np.ones(grid.shape, np.bool_), names.method"),
        ("names.method, names.layer, names.target)", "names.method, names.target, names.layer)"),
        (
            "        return evidence_of(heatmap, overlap)\n\n\n@dataclass",
            "        return evidence_of(heatmap, OverlapConfig())\n\n\n@dataclass",
        ),
        (
            '        """Return a map as evidence."""\n        return evidence_of(heatmap, overlap)',
            '        """Return a map as evidence."""\n        return evidence_of(heatmap, OverlapConfig())',
        ),
        tests=(ENGINE,),
    ),
]
