"""What a slip of the pen could do to where voxels lie: turned axes, half a voxel, a check that is gone."""

from tests.mutants import Mutant, of

__all__ = ["MUTANTS"]

MUTANTS: list[Mutant] = [
    *of(
        "pipeline/studies/geometry.py",
        # a grid
        ("len(shape) not in (2, 3) or min(shape) < 1", "len(shape) not in (2, 3) or min(shape) < 0"),
        ("np.isfinite(affine).all()", "True"),
        ("abs(np.linalg.det(affine[:3, :3])) < 1e-6 * scale", "abs(np.linalg.det(affine[:3, :3])) < 1e-6"),
        ("affine = np.array(self.affine, dtype=np.float64)", "affine = np.asarray(self.affine, dtype=np.float64)"),
        ("np.linalg.norm(self.affine[:3, : len(self.shape)], axis=0)", "self.affine.diagonal()[: len(self.shape)]"),
        ("[(0, size - 1) for size in self.shape]", "[(0, size) for size in self.shape]"),
        ("@ self.affine[:3, :axes].T + self.affine[:3, 3]", "@ self.affine[:3, :axes] + self.affine[:3, 3]"),
        ("@ self.affine[:3, :axes].T + self.affine[:3, 3]", "@ self.affine[:3, :axes].T - self.affine[:3, 3]"),
        ('ends = (("L", "R"), ("P", "A"), ("I", "S"))', 'ends = (("R", "L"), ("P", "A"), ("I", "S"))'),
        ("if directions[world, axis] > 0 else", "if directions[world, axis] < 0 else"),
        ("np.abs(directions[worlds, range(axes)]).sum()", "directions[worlds, range(axes)].sum()"),
        ("if not self.oriented:", "if False:"),
        ("np.diag([-1.0, -1.0, 1.0, 1.0])", "np.diag([-1.0, 1.0, 1.0, 1.0])"),
        ("np.diag([-1.0, -1.0, 1.0, 1.0])", "np.diag([-1.0, -1.0, -1.0, 1.0])"),
        # two grids
        ("min(CORNER_TOLERANCE_MM, 0.1 * min(first.spacing + second.spacing))", "CORNER_TOLERANCE_MM"),
        ("axis=1).max() <= tolerance", "axis=1).min() <= tolerance"),
        ("ratio = np.array(grid.shape) / np.array(shape)", "ratio = np.array(grid.shape) // np.array(shape)"),
        ("(ratio - 1) / 2", "ratio / 2"),
        # a mask on another grid
        ("if None not in frames and frames[0] != frames[1]:", "if False:"),
        ("if None not in frames and frames[0] != frames[1]:", "if frames[0] != frames[1]:"),
        ("if mask.shape != source.shape:", "if False:"),
        ("if snapped is None or not same_grid(snapped, source):", "if snapped is None:"),
        ("np.argwhere(mask) @ turn.T + offset", "np.argwhere(mask) @ turn + offset"),
        ("(marked < 0) | (marked >= target.shape)", "(marked >= target.shape)"),
        ("(marked < 0) | (marked >= target.shape)", "(marked < 0) | (marked > target.shape)"),
        ("if outside or (not partial and not _covers(", "if outside and (not partial and not _covers("),
        ("(not partial and not _covers(source, turn, offset, target))", "False"),
        # a map at the voxels of a mask
        ("if source.frame_of_reference != target.frame_of_reference:", "if False:"),
        ("if axes == 2 and _out_of_plane(source, target) > CORNER_TOLERANCE_MM:", "if False:"),
        ("np.linalg.inv(source.affine) @ target.affine", "np.linalg.inv(target.affine) @ source.affine"),
        ("along >= -0.5 - _AT_EDGE", "along >= -_AT_EDGE"),
        ("along <= size - 0.5 + _AT_EDGE", "along <= size - 1 + _AT_EDGE"),
        ("along <= size - 0.5 + _AT_EDGE", "along <= size + 0.5 + _AT_EDGE"),
        ("field[~self.seen] = 0", "pass"),
        ("(rest > 1e-4).any()", "(rest > 1e4).any()"),
        (".transpose(order)", ".transpose(np.argsort(order))"),
        ("if values.shape != self.source_shape:", "if False:"),
        ('order=1, mode="nearest"', 'order=1, mode="constant"'),
        ("return field.copy() if np.may_share_memory(field, values) else field", "return field"),
        ("np.clip(position, 0, size - 1)", "np.clip(position, -0.5, size - 0.5)"),
        ("(rows, low), 1 - (clamped - low)", "(rows, low), clamped - low"),
        tests=("tests/pipeline/studies/test_geometry.py",),
    ),
]
