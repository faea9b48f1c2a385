import hashlib
import os
import stat

import pytest
from pydicom import Dataset

from pipeline.config import ArchiveConfig
from pipeline.errors import ArchiveError, ConfigError
from pipeline.studies.pseudonyms import KEY_FILE, KEY_VARIABLE, Pseudonyms, allowed_header, allowed_value, load_key
from pipeline.walk.sources import archive_rows

KEY = b"0123456789abcdef0123456789abcdef"


@pytest.fixture(autouse=True)
def no_key(monkeypatch):
    monkeypatch.delenv(KEY_VARIABLE, raising=False)


def test_pseudonyms_are_keyed_hmacs():
    names = Pseudonyms(KEY)
    # printf '["patient", "Doe"]' | openssl dgst -sha256 -mac HMAC -macopt key:0123456789abcdef0123456789abcdef \
    # -binary | head -c 10 | base32
    assert names.patient("Doe") == "P-467ZDS22RONNGFNI"
    assert names.study("Doe", "1") == Pseudonyms(KEY).study("Doe", "1")
    assert names.study("Doe", "1") != Pseudonyms(KEY[::-1]).study("Doe", "1")
    assert "0123" not in repr(names)


def test_a_study_counts_within_its_patient():
    names = Pseudonyms(KEY)
    found = {names.study("ab", "c"), names.study("a", "bc"), names.study("c", "ab"), names.study("abc", "")}
    assert len(found) == 4
    assert all(one.startswith("S-") and len(one) == 18 for one in found)
    assert names.patient("a")[2:] != names.study("a", "")[2:]


@pytest.mark.parametrize("bits", [0, 7])
def test_two_names_that_share_a_pseudonym_are_refused_by_it_alone(bits, monkeypatch):
    names, archive = Pseudonyms(KEY), [("SECRET A", "1"), ("SECRET A", "2"), ("SECRET B", "1"), ("SECRET A", "1")]
    names.check_distinct(archive)

    def cut(self, *parts):
        return str(sum(map(ord, "".join(parts))) % (bits or 1))

    monkeypatch.setattr(Pseudonyms, "_letters", cut)
    with pytest.raises(ArchiveError, match=r"the pseudonym [SP]-\d stands for two different names") as caught:
        names.check_distinct([*archive, *((f"SECRET {letter}", "1") for letter in "CDEFGHIJ")])
    assert "SECRET" not in str(caught.value)
    names.check_distinct(archive[:1] * 3)


def test_an_archive_is_listed_with_distinct_pseudonyms_or_not_at_all(tmp_path, monkeypatch):
    for name in ("a.nii", "b.nii"):
        (tmp_path / name).write_bytes(b"")
    archive = ArchiveConfig(path=tmp_path)
    assert len(archive_rows(archive, Pseudonyms(KEY))) == 2
    monkeypatch.setattr("pipeline.studies.pseudonyms.hmac.new", lambda *_: hashlib.sha256())
    assert len(archive_rows(archive)) == 2
    with pytest.raises(ArchiveError, match=r"the pseudonym P-\w{16} stands for two"):
        archive_rows(archive, Pseudonyms(KEY))


def test_a_key_is_made_once_and_for_the_owner_alone(tmp_path):
    key = load_key(tmp_path / "runs")
    path = tmp_path / "runs" / KEY_FILE
    assert len(key) == 64
    assert load_key(tmp_path / "runs") == key
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert [file.name for file in path.parent.iterdir()] == [KEY_FILE]
    assert load_key(tmp_path / "other") != key


@pytest.mark.skipif(os.name != "posix", reason="modes are POSIX")
@pytest.mark.parametrize("mode", [0o640, 0o604])
def test_a_key_that_others_may_read_is_refused(tmp_path, mode):
    load_key(tmp_path)
    (tmp_path / KEY_FILE).chmod(mode)
    with pytest.raises(ConfigError, match="others may read it"):
        load_key(tmp_path)


def test_a_key_from_the_environment(tmp_path, monkeypatch):
    monkeypatch.setenv(KEY_VARIABLE, KEY.decode())
    assert load_key(tmp_path) == KEY
    assert not list(tmp_path.iterdir())
    monkeypatch.setenv(KEY_VARIABLE, "short")
    with pytest.raises(ConfigError, match="32 characters or more, not 5"):
        load_key(tmp_path)


def test_a_short_or_unreachable_key_is_refused(tmp_path):
    path = tmp_path / KEY_FILE
    path.write_text("short")
    path.chmod(0o600)
    with pytest.raises(ConfigError, match="32 characters or more, not 5"):
        load_key(tmp_path)
    with pytest.raises(ConfigError, match="cannot be used"):
        load_key(path)


def test_only_coded_values_of_listed_attributes_leave():
    header = Dataset()
    header.PatientName, header.PatientID, header.StudyDate = "DOE^JOHN", "CT", "20200101"
    header.Modality, header.BodyPartExamined, header.ViewPosition = "CT", "CHEST", "PA"
    header.Manufacturer, header.PatientSex, header.BurnedInAnnotation = "GE MEDICAL SYSTEMS", "F", "NO"
    assert allowed_header(header) == {
        "Modality": "CT",
        "Manufacturer": "GE",
        "BodyPartExamined": "CHEST",
        "ViewPosition": "PA",
        "PatientSex": "F",
        "BurnedInAnnotation": "NO",
    }


def test_of_a_display_window_the_first_leaves_as_a_number():
    header = Dataset()
    header.WindowCenter, header.WindowWidth = [40, -600], ["400.5", "1500"]
    assert allowed_header(header) == {"WindowCenter": "40.0", "WindowWidth": "400.5"}


@pytest.mark.parametrize("value", ["1e300", "123456", "", None])
def test_a_window_that_is_no_short_number_is_dropped(value):
    header = Dataset()
    header.WindowCenter = value
    assert allowed_header(header) == {}


@pytest.mark.parametrize("code", ["OT", "NM", "SM", "IVUS"])
def test_modalities_are_told_by_their_codes(code):
    header = Dataset()
    header.Modality = code
    assert allowed_header(header) == {"Modality": code}


@pytest.mark.parametrize("keyword", ["Modality", "BodyPartExamined", "ViewPosition", "PatientSex", "Manufacturer"])
@pytest.mark.parametrize("value", ["DOE", "1234567", "", "CT DOE", None])
def test_values_off_the_list_are_dropped(keyword, value):
    header = Dataset()
    setattr(header, keyword, value)
    assert allowed_header(header) == {}


@pytest.mark.parametrize(
    ("keyword", "value", "leaves"),
    [
        ("PatientAge", "045Y", "40-59"),
        ("PatientAge", "017Y", "0-17"),
        ("PatientAge", "018Y", "18-39"),
        ("PatientAge", "080Y", "80 and over"),
        ("PatientAge", "104Y", "80 and over"),
        ("PatientAge", "013M", "0-17"),
        ("PatientAge", "300M", "18-39"),
        ("PatientAge", "003D", "0-17"),
        ("PatientAge", "131Y", None),
        ("PatientAge", "45", None),
        ("PatientAge", "19801231", None),
        ("PatientAge", "Doe", None),
        ("SliceThickness", "2.4999", "2.5"),
        ("SliceThickness", "5", "5"),
        ("SliceThickness", "0", None),
        ("SliceThickness", "1e9", None),
        ("SliceThickness", "nan", None),
        ("MagneticFieldStrength", "1.494", "1.5"),
        ("MagneticFieldStrength", "15000", "1.5"),
        ("MagneticFieldStrength", "-3", None),
        ("ConvolutionKernel", "B30f", "B30f"),
        ("ConvolutionKernel", "['Br40d', '3']", "Br40d"),
        ("ConvolutionKernel", "FC08", "FC08"),
        ("ConvolutionKernel", "LUNG", "LUNG"),
        ("ConvolutionKernel", "Doe^John", None),
        ("ConvolutionKernel", "Doe45", None),
    ],
)
def test_measures_leave_rounded_and_ages_as_bands(keyword, value, leaves):
    assert allowed_value(keyword, value) == leaves


def test_no_birth_date_leaves():
    dataset = Dataset()
    dataset.PatientBirthDate, dataset.PatientAge, dataset.ConvolutionKernel = "19801231", "045Y", ["B30f", "3"]
    assert allowed_header(dataset) == {"PatientAge": "40-59", "ConvolutionKernel": "B30f"}
