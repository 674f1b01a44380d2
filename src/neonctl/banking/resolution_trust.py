"""Registered keys as keys that verify."""

from __future__ import annotations

from collections.abc import Iterable

from neonctl.banking.resolution_keys import TrustedKey
from neonctl.banking.signing.authority import VerifyingKey
from neonctl.banking.signing.keys import PublicKey, public_from_jwk
from neonctl.errors import NeonctlError


def public_key_of(key: TrustedKey) -> PublicKey | None:
    """The public key of a row; None when the row is not what its id and algorithm say."""
    try:
        public = public_from_jwk(key.public_jwk, name=key.key_id)
    except NeonctlError:
        return None
    return public if (public.key_id, public.algorithm) == (key.key_id, key.algorithm) else None


def verifying_keys(keys: Iterable[TrustedKey]) -> dict[str, VerifyingKey]:
    """By id. A row that is not the key that its id says is left out: nothing that it "signed" is believed."""
    publics = ((key, public_key_of(key)) for key in keys)
    return {key.key_id: VerifyingKey(key.key_id, key.name, key.kind, public) for key, public in publics if public}
