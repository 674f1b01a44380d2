"""Keys that sign: Ed25519 and P-256, as PEM files and as JSON Web Keys. A key's id is its RFC 7638 thumbprint.

A private key never leaves this module but as PEM for its own file; nothing here prints one.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final, Literal

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature

from neonctl.banking.signing.base64url import decoded, encoded
from neonctl.errors import UsageError
from neonctl.secret import Secret

Algorithm = Literal["EdDSA", "ES256"]
KeyType = Literal["ed25519", "p256"]
Private = ed25519.Ed25519PrivateKey | ec.EllipticCurvePrivateKey
Public = ed25519.Ed25519PublicKey | ec.EllipticCurvePublicKey

_COORDINATE_BYTES: Final = 32
_ENCRYPTED: Final = b"-----BEGIN ENCRYPTED PRIVATE KEY-----"
#: Points of small order, sign bit cleared: with such an Ed25519 key signatures can be made by anybody.
_WEAK: Final = frozenset(
    bytes.fromhex(point)
    for point in (
        "00" * 32,
        "01" + "00" * 31,
        "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
        "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
        "ec" + "ff" * 30 + "7f",
        "ed" + "ff" * 30 + "7f",
        "ee" + "ff" * 30 + "7f",
    )
)
#: Members of a public JWK, in the order of the thumbprint (RFC 7638 3.2: required ones only, by name).
_MEMBERS: Mapping[str, tuple[str, ...]] = MappingProxyType({"OKP": ("crv", "kty", "x"), "EC": ("crv", "kty", "x", "y")})


@dataclass(frozen=True)
class PublicKey:
    """A public key and what it may verify: its type decides the algorithm, no document does."""

    key: Public

    @property
    def algorithm(self) -> Algorithm:
        """The one algorithm of this key's signatures."""
        return "EdDSA" if isinstance(self.key, ed25519.Ed25519PublicKey) else "ES256"

    @property
    def jwk(self) -> dict[str, str]:
        """The JSON Web Key, required members only."""
        if isinstance(self.key, ed25519.Ed25519PublicKey):
            return {"kty": "OKP", "crv": "Ed25519", "x": encoded(self.key.public_bytes_raw())}
        numbers = self.key.public_numbers()
        x, y = (encoded(each.to_bytes(_COORDINATE_BYTES, "big")) for each in (numbers.x, numbers.y))
        return {"kty": "EC", "crv": "P-256", "x": x, "y": y}

    @property
    def key_id(self) -> str:
        """RFC 7638: base64url(SHA-256(the required members, sorted, without blanks))."""
        jwk = self.jwk
        members = ",".join(f'"{name}":"{jwk[name]}"' for name in _MEMBERS[jwk["kty"]])
        return encoded(hashlib.sha256(f"{{{members}}}".encode()).digest())

    def pem(self) -> bytes:
        """SubjectPublicKeyInfo."""
        return self.key.public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)


@dataclass(frozen=True)
class Signer:
    """Somebody who signs: a key file, or a key in KMS. ``sign`` gives the signature as JWS has it."""

    public: PublicKey
    sign: Callable[[bytes], bytes]


def generate(kind: KeyType) -> Private:
    """A new private key."""
    return ed25519.Ed25519PrivateKey.generate() if kind == "ed25519" else ec.generate_private_key(ec.SECP256R1())


def private_pem(key: Private, passphrase: Secret | None) -> bytes:
    """PKCS#8, encrypted when there is a passphrase."""
    protection = (
        serialization.NoEncryption()
        if passphrase is None
        else serialization.BestAvailableEncryption(passphrase.reveal().encode())
    )
    return key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, protection)


def signer_of(key: Private) -> Signer:
    """Who signs with ``key``."""
    if isinstance(key, ed25519.Ed25519PrivateKey):
        return Signer(PublicKey(key.public_key()), key.sign)
    return Signer(PublicKey(key.public_key()), lambda message: raw(key.sign(message, ec.ECDSA(hashes.SHA256()))))


def raw(signature: bytes) -> bytes:
    """A DER-encoded ECDSA signature of P-256 as JWS has it: r and s side by side."""
    return b"".join(each.to_bytes(_COORDINATE_BYTES, "big") for each in decode_dss_signature(signature))


def read_private(pem: bytes, passphrase: Secret | None, *, name: str) -> Private:
    """The private key in ``pem``, the contents of the file ``name``.

    Raises ``UsageError`` KEY_PASSPHRASE_MISSING, KEY_PASSPHRASE_WRONG, KEY_INVALID.
    """
    needed = _ENCRYPTED in pem
    if needed and passphrase is None:
        raise UsageError(
            "KEY_PASSPHRASE_MISSING",
            f"{name} is protected by a passphrase",
            hint="give it in NEONCTL_KEY_PASSPHRASE, or in a file that --passphrase-file names",
        )
    password = passphrase.reveal().encode() if needed and passphrase is not None else None
    wrong = False
    try:
        key = serialization.load_pem_private_key(pem, password=password)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        key, wrong = None, needed
    if wrong:
        raise UsageError("KEY_PASSPHRASE_WRONG", f"{name} does not open with this passphrase")
    if isinstance(key, ed25519.Ed25519PrivateKey) or (
        isinstance(key, ec.EllipticCurvePrivateKey) and isinstance(key.curve, ec.SECP256R1)
    ):
        return key
    raise _invalid(f"{name} is not a private key that signs here", "it takes PKCS#8 PEM")


def read_public(pem: bytes, *, name: str) -> PublicKey:
    """The public key in ``pem``, the contents of the file ``name``. Raises ``UsageError`` KEY_INVALID."""
    try:
        return _usable(serialization.load_pem_public_key(pem), name)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        pass
    said = "it is a private one: give the .pub beside it" if b"PRIVATE KEY" in pem else "it takes a public key as PEM"
    raise _invalid(f"{name} is not a public key", said)


def public_from_der(der: bytes, *, name: str) -> PublicKey:
    """The public key in ``der`` (SubjectPublicKeyInfo), as KMS gives it. Raises ``UsageError`` KEY_INVALID."""
    try:
        return _usable(serialization.load_der_public_key(der), name)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        pass
    raise _invalid(f"{name} is not a public key", "it takes SubjectPublicKeyInfo")


def public_from_jwk(jwk: Mapping[str, object], *, name: str) -> PublicKey:
    """The public key of a JSON Web Key with exactly the required members. Raises ``UsageError`` KEY_INVALID."""
    members = {key: value for key, value in jwk.items() if isinstance(value, str)}
    kind = members.get("kty", "")
    if kind in _MEMBERS and set(jwk) == set(_MEMBERS[kind]) == set(members):
        try:
            found = _usable(_from_members(members), name)
            if found.jwk == members:
                return found
        except ValueError:
            pass
    raise _invalid(f"{name} is not a public key", "it takes a JWK of Ed25519 or P-256, with no members but its own")


def _from_members(members: Mapping[str, str]) -> Public:
    x = decoded(members["x"])
    if members["crv"] == "Ed25519":
        return ed25519.Ed25519PublicKey.from_public_bytes(x)
    if members["crv"] != "P-256":
        raise ValueError(members["crv"])
    y = decoded(members["y"])
    numbers = ec.EllipticCurvePublicNumbers(int.from_bytes(x, "big"), int.from_bytes(y, "big"), ec.SECP256R1())
    return numbers.public_key()


def _usable(key: object, name: str) -> PublicKey:
    if isinstance(key, ed25519.Ed25519PublicKey) and not _weak(key):
        return PublicKey(key)
    if isinstance(key, ec.EllipticCurvePublicKey) and isinstance(key.curve, ec.SECP256R1):
        return PublicKey(key)
    raise _invalid(f"{name} is of a kind that does not sign here", "it takes Ed25519 and P-256")


def _weak(key: ed25519.Ed25519PublicKey) -> bool:
    point = key.public_bytes_raw()
    return point[:-1] + bytes([point[-1] & 0x7F]) in _WEAK


def _invalid(message: str, hint: str) -> UsageError:
    return UsageError("KEY_INVALID", message, hint=f"{hint}; `neonctl obr keys generate` makes one")
