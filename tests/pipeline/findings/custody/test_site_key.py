import stat

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.rsa import generate_private_key
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)

from pipeline.errors import OutputError
from pipeline.findings.custody.site_key import SiteKey, fingerprint_of, load_site_key, verify_signature
from tests.pipeline.findings.custody.at_once import at_once


@pytest.fixture
def state(tmp_path, monkeypatch):
    for name in ("CAMAUDIT_SITE_KEY", "XDG_STATE_HOME", "HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("CAMAUDIT_STATE", str(tmp_path / "state"))
    return tmp_path / "state"


def pem(key, encryption=None):
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, encryption or NoEncryption())


def test_the_key_is_made_once_and_is_the_users_alone(state):
    first, second = load_site_key(), load_site_key()
    assert first.public == second.public
    assert stat.S_IMODE((state / "site-key.pem").stat().st_mode) == 0o600
    assert stat.S_IMODE(state.stat().st_mode) == 0o700
    assert [path.name for path in state.iterdir()] == ["site-key.pem"]


def test_known_signature_and_fingerprint():
    """The first test of RFC 8032, and its key's SHA-256 by another program (sha256sum)."""
    secret = bytes.fromhex("9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60")
    key = SiteKey(Ed25519PrivateKey.from_private_bytes(secret))
    assert key.public == "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a"
    assert key.sign(b"") == (
        "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701cf9b46b"
        "d25bf5f0595bbe24655141438e7a100b"
    )
    assert key.fingerprint == fingerprint_of(key.public) == "21FE 31DF A154 A261 626B F854 046F D227"


def test_a_signature_is_of_these_bytes_by_this_key_in_one_spelling(state):
    key, other = load_site_key(), SiteKey(Ed25519PrivateKey.generate())
    signature = key.sign(b"data")
    assert verify_signature(key.public, b"data", signature)
    assert not verify_signature(key.public, b"datb", signature)
    assert not verify_signature(other.public, b"data", signature)
    for spelling in (signature.upper(), f" {signature}", signature[:-2], "", "no hex"):
        assert not verify_signature(key.public, b"data", spelling)
    for spelling in (key.public.upper(), key.public[:-2], "", "no hex"):
        assert not verify_signature(spelling, b"data", signature)


def test_the_private_key_is_never_shown(state):
    key = load_site_key()
    assert repr(key) == "SiteKey()"
    assert key.private.private_bytes_raw().hex() not in str(vars(key))


def test_a_key_file_is_taken_where_one_is_named(state, tmp_path, monkeypatch):
    key = Ed25519PrivateKey.generate()
    path = tmp_path / "hospital.pem"
    path.write_bytes(pem(key))
    path.chmod(0o600)
    monkeypatch.setenv("CAMAUDIT_SITE_KEY", str(path))
    assert load_site_key().public == SiteKey(key).public
    assert not state.exists()


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620, 0o644])
@pytest.mark.parametrize("named", [False, True])
def test_a_key_that_others_may_read_is_refused(state, monkeypatch, mode, named):
    load_site_key()
    path = state / "site-key.pem"
    path.chmod(mode)
    if named:
        monkeypatch.setenv("CAMAUDIT_SITE_KEY", str(path))
    with pytest.raises(OutputError, match=rf"mode {mode:o}\).*chmod 600"):
        load_site_key()


def other_kind():
    return pem(generate_private_key(65537, 2048))


def with_password():
    return pem(Ed25519PrivateKey.generate(), BestAvailableEncryption(b"password"))


def public_half():
    return Ed25519PrivateKey.generate().public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)


@pytest.mark.parametrize(
    "content", [other_kind, with_password, public_half, lambda: b"", lambda: b"rubbish"], ids=lambda each: each.__name__
)
def test_a_file_without_an_ed25519_key_is_refused_in_one_line(state, tmp_path, monkeypatch, content):
    path = tmp_path / "key.pem"
    path.write_bytes(content())
    path.chmod(0o600)
    monkeypatch.setenv("CAMAUDIT_SITE_KEY", str(path))
    with pytest.raises(OutputError, match="must hold an Ed25519 private key") as caught:
        load_site_key()
    assert "\n" not in str(caught.value)


def test_a_named_key_that_is_absent_is_not_made(state, tmp_path, monkeypatch):
    monkeypatch.setenv("CAMAUDIT_SITE_KEY", str(tmp_path / "absent.pem"))
    with pytest.raises(OutputError, match=r"cannot be read: No such file.*CAMAUDIT_SITE_KEY"):
        load_site_key()
    assert not (tmp_path / "absent.pem").exists()


def test_the_folder_follows_the_xdg_rule(state, tmp_path, monkeypatch):
    monkeypatch.setenv("CAMAUDIT_STATE", "")
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("XDG_STATE_HOME", "relative")
    load_site_key()
    assert (tmp_path / "home/.local/state/camaudit/site-key.pem").exists()
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "xdg"))
    load_site_key()
    assert (tmp_path / "xdg/camaudit/site-key.pem").exists()


def test_without_a_home_it_says_what_to_set(state, monkeypatch):
    monkeypatch.setenv("CAMAUDIT_STATE", "")
    monkeypatch.setenv("HOME", "")
    with pytest.raises(OutputError, match=r"no home folder.*set CAMAUDIT_STATE"):
        load_site_key()


def test_a_folder_that_cannot_be_made_says_what_to_set(state, tmp_path, monkeypatch):
    (tmp_path / "file").touch()
    monkeypatch.setenv("CAMAUDIT_STATE", str(tmp_path / "file" / "state"))
    with pytest.raises(OutputError, match=r"cannot be made: Not a directory; set CAMAUDIT_STATE"):
        load_site_key()


def test_a_relative_state_folder_is_refused(state, monkeypatch):
    monkeypatch.setenv("CAMAUDIT_STATE", "state")
    with pytest.raises(OutputError, match="CAMAUDIT_STATE: must be an absolute path, not 'state'"):
        load_site_key()


def test_processes_that_make_the_key_at_once_have_one_key(state):
    script = "from pipeline.findings.custody.site_key import load_site_key; started(); print(load_site_key().public)"
    assert set(at_once(script, 4)) == {load_site_key().public}
    assert [path.name for path in state.iterdir()] == ["site-key.pem"]
