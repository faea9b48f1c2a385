"""A window is taken from where somebody said it, else from what the image is; nothing is left to chance."""

import numpy as np
import pytest

from pipeline.conclusions.shown_cases.display_window import display_window

CT = np.full((8, 8, 8), -1000.0, np.float32)
CT[2:6, 2:6, 2:6] = 40
CT[0, 0, :4] = -3024  # padding beside the field of view


@pytest.mark.parametrize(
    ("facts", "window", "rule"),
    [
        ({"Modality": "CT", "BodyPartExamined": "CHEST"}, (-1000, 400), "chest"),
        ({"Modality": "CT", "BodyPartExamined": "LIVER"}, (-160, 240), "abdomen"),
        ({"Modality": "CT", "BodyPartExamined": "BRAIN"}, (0, 80), "head"),
        ({"Modality": "CT", "BodyPartExamined": "KNEE"}, (-500, 1300), "bone"),
        ({"Modality": "CT"}, (-1000, 400), "whose region is not stated"),
        ({}, (-1000, 400), "which the values look like"),
        ({"Modality": "CT", "WindowCenter": "40", "WindowWidth": "350.5"}, (-135.25, 215.25), "header"),
    ],
)
def test_a_ct_is_never_shown_at_the_ends_of_its_values(facts, window, rule):
    shown = display_window(CT, facts)
    assert (shown.low, shown.high) == window
    assert rule in shown.rule


def test_the_configuration_comes_first():
    shown = display_window(CT, {"Modality": "CT", "WindowCenter": "40", "WindowWidth": "400"}, (-10.0, 20.0))
    assert (shown.low, shown.high, shown.rule) == (-10.0, 20.0, "set in the configuration")


@pytest.mark.parametrize(
    "facts",
    [
        {"Modality": "CT", "WindowCenter": "5000", "WindowWidth": "100"},  # shows nothing of these values
        {"Modality": "CT", "WindowCenter": "40", "WindowWidth": "0"},
        {"Modality": "CT", "WindowCenter": "40"},
        {"Modality": "CT", "WindowCenter": "40", "WindowWidth": "350", "voi lut": "applied"},
        {"Modality": "CT", "WindowCenter": "40", "WindowWidth": "350", "PhotometricInterpretation": "MONOCHROME1"},
    ],
)
def test_a_header_that_does_not_speak_of_these_values_is_not_asked(facts):
    assert "region is not stated" in display_window(CT, facts).rule


def test_a_pets_header_speaks_of_other_values():
    uptake = np.linspace(0, 12, 512, dtype=np.float32).reshape(8, 8, 8)
    shown = display_window(uptake, {"Modality": "PT", "WindowCenter": "10000", "WindowWidth": "20000"})
    assert "own values" in shown.rule
    assert 0 <= shown.low < shown.high <= 12


@pytest.mark.parametrize("values", [np.linspace(0, 1, 4096), np.full(4096, 7.0), np.linspace(-200, 300, 4096)])
def test_other_images_are_shown_by_their_own_values(values):
    image = values.reshape(16, 16, 16).astype(np.float32)
    shown = display_window(image, {})
    assert shown.low < shown.high
    assert "own values" in shown.rule
