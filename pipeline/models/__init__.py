"""``Study`` to model input to output: MONAI lives here."""
