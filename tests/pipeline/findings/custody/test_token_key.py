"""A key on a token signs like one in a file: tried on SoftHSM, where that is installed."""

import pytest

from pipeline.errors import OutputError
from pipeline.findings.custody.ledger import Ledger, public_key, read_ledger
from pipeline.findings.custody.site_key import SITE_KEY_VARIABLE, load_site_key, verify_signature
from pipeline.findings.custody.token_key import PIN_VARIABLE, token_key
from tests.pipeline.findings.custody.tokens import MODULE, made_token

ED25519 = bytes.fromhex("130c656477617264733235353139")  # the curve's name, as tokens take it


@pytest.fixture
def token(tmp_path, monkeypatch):
    """A token with a new key; its URI is the site's."""
    pkcs11 = pytest.importorskip("pkcs11")
    library = made_token("site", tmp_path, monkeypatch)
    with library.get_token(token_label="site").open(rw=True, user_pin="1234") as session:
        curve = {pkcs11.Attribute.EC_PARAMS: ED25519}
        parameters = session.create_domain_parameters(pkcs11.KeyType.EC_EDWARDS, curve, local=True)
        parameters.generate_keypair(mechanism=pkcs11.Mechanism.EC_EDWARDS_KEY_PAIR_GEN, label="key", store=True)
    monkeypatch.setenv(SITE_KEY_VARIABLE, f"pkcs11:token=site;object=key?module-path={MODULE}")
    monkeypatch.setenv(PIN_VARIABLE, "1234")
    return monkeypatch


def test_a_ledger_signed_on_a_token_holds(token, tmp_path):
    key = load_site_key()
    assert verify_signature(key.public, b"data", key.sign(b"data"))
    assert "1234" not in repr(key)
    ledger = Ledger(tmp_path / "ledger.jsonl", key)
    ledger.append("event", number=1)
    assert public_key(read_ledger(tmp_path / "ledger.jsonl", public=key.public)) == key.public


@pytest.mark.parametrize("pin", ["9999", ""])
def test_a_wrong_pin_is_one_line(token, pin):
    token.setenv(PIN_VARIABLE, pin)
    with pytest.raises(OutputError, match="token 'site', object 'key' cannot be used") as refused:
        load_site_key().sign(b"data")
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize("uri", ["pkcs11:", "pkcs11:token=a;object=b", "pkcs11:token=a?module-path=/m.so"])
def test_a_uri_that_lacks_a_part_is_refused(uri):
    with pytest.raises(OutputError, match="this URI lacks a part"):
        token_key(uri)
