"""Keys in KMS that sign, at moto and at the embedded platform."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from neonctl.banking.signing.attested import attest, check_attested
from neonctl.banking.signing.keys import Signer, public_from_der, raw
from neonctl.errors import NeonctlError

if TYPE_CHECKING:
    from .conftest import Endpoint


def made(endpoint: Endpoint, spec: str = "ECC_NIST_P256", usage: str = "SIGN_VERIFY") -> str:
    kms = endpoint.access._client("kms")
    return kms.create_key(KeySpec=spec, KeyUsage=usage)["KeyMetadata"]["KeyId"]


def test_a_status_signed_in_kms_is_verified_with_its_public_key(embedded: Endpoint) -> None:
    """Many times: r and s are sometimes shorter than 32 bytes, and DER then leaves their zeros out.

    Not at moto: it hashes what is said to be a digest already once more.
    """
    key = embedded.access.signing_key(made(embedded))
    public = public_from_der(key.public_der(), name="kms")
    signer = Signer(public, lambda message: raw(key.sign(message)))
    for number in range(20):
        document = {"kind": "obr-status", "number": number}
        text = json.dumps(attest(document, signer))
        assert check_attested(text, public, name="status").document == document


def test_a_key_that_is_not_for_es256_does_not_sign(aws_endpoint: Endpoint) -> None:
    key = aws_endpoint.access.signing_key(made(aws_endpoint, "ECC_NIST_P384"))
    with pytest.raises(NeonctlError) as refused:
        public_from_der(key.public_der(), name=key.key_id)
    assert refused.value.code == "KEY_INVALID"


def test_a_key_that_is_not_there_or_disabled_is_told_so(embedded: Endpoint) -> None:
    disabled = made(embedded)
    embedded.access._client("kms").disable_key(KeyId=disabled)
    encrypting = made(embedded, "SYMMETRIC_DEFAULT", "ENCRYPT_DECRYPT")
    for key_id in ("alias/nowhere", disabled, encrypting):
        key = embedded.access.signing_key(key_id)
        for call in (key.public_der, lambda key=key: key.sign(b"message")):
            with pytest.raises(NeonctlError) as refused:
                call()
            assert refused.value.code == "AWS_KEY_UNUSABLE", key_id
