"""JSON Web Signatures as they are accepted here: compact, two algorithms, three header members, nothing optional.

PyJWT does the cryptography and the assembling. What stands before it makes one text of each signed document: exact
base64url, no duplicate members, and a header of exactly ``alg``, ``kid`` and ``typ``, so that no ``jwk``, ``jku``,
``x5c``, ``crit`` or ``b64`` can have a say. The algorithm is the key's, never the document's.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, NoReturn

from jwt import InvalidTokenError, PyJWS
from jwt.algorithms import Algorithm as JwtAlgorithm

from neonctl.banking.signing.base64url import decoded, encoded
from neonctl.banking.signing.strict_json import object_of

if TYPE_CHECKING:
    from neonctl.banking.signing.keys import PublicKey, Signer

LARGEST: Final = 8192
"""Characters that a compact JWS may have."""

_HEADER: Final = {"alg", "kid", "typ"}
_ALGORITHMS: Final = {"EdDSA", "ES256"}


@dataclass(frozen=True)
class Jws:
    """A compact JWS that was read and not yet verified."""

    text: str
    algorithm: str
    key_id: str
    typ: str
    payload: bytes

    @property
    def payload_sha256(self) -> str:
        """What two signatures over the same payload have in common."""
        return hashlib.sha256(self.payload).hexdigest()


def sign_compact(payload: bytes, signer: Signer, *, typ: str) -> str:
    """``payload`` signed by ``signer``."""
    algorithm = signer.public.algorithm
    library = PyJWS(algorithms=[])
    library.register_algorithm(algorithm, _SignedBy(signer))
    return library.encode(payload, "", algorithm=algorithm, headers={"kid": signer.public.key_id, "typ": typ})


def parse_compact(text: str, *, largest: int = LARGEST) -> Jws:
    """The JWS in ``text``, nothing of it proven yet. Raises ``ValueError``, which says what is wrong with its form."""
    if len(text) > largest:
        raise ValueError(f"it is longer than {largest} characters")
    if text.count(".") != 2 or not text.isascii():
        raise ValueError("it is not a compact JWS")
    protected, body, signature = text.split(".")
    header = _part("header", lambda: object_of(decoded(protected)))
    if set(header) != _HEADER or not all(isinstance(value, str) for value in header.values()):
        raise ValueError("its header has other members than alg, kid and typ")
    if header["alg"] not in _ALGORITHMS:
        raise ValueError("its algorithm is neither EdDSA nor ES256")
    payload = _part("payload", lambda: decoded(body))
    _part("signature", lambda: decoded(signature))
    return Jws(text, header["alg"], header["kid"], header["typ"], payload)


def signed_by(jws: Jws, public: PublicKey) -> bool:
    """Whether ``public`` signed exactly these bytes, by its own algorithm."""
    if jws.algorithm != public.algorithm or jws.key_id != public.key_id:
        return False
    try:
        PyJWS(algorithms=[public.algorithm]).decode(jws.text, public.key, algorithms=[public.algorithm])
    except InvalidTokenError:
        return False
    return True


def sign_detached(payload: bytes, signer: Signer, *, typ: str) -> str:
    """A JWS without its payload (RFC 7515 appendix F): ``header..signature``."""
    protected, _, signature = sign_compact(payload, signer, typ=typ).split(".")
    return f"{protected}..{signature}"


def attach(detached: str, payload: bytes) -> str:
    """A detached JWS with its payload put back. Raises ``ValueError`` when it is none."""
    protected, middle, signature = [*detached.split("."), "", ""][:3]
    if middle or detached.count(".") != 2:
        raise ValueError("it is not a detached JWS")
    return f"{protected}.{encoded(payload)}.{signature}"


def _part(name: str, read: Any) -> Any:
    try:
        return read()
    except ValueError as error:
        raise ValueError(f"its {name} is not readable: {error}") from None


class _SignedBy(JwtAlgorithm):
    """Lets PyJWT sign with a key that it never sees, as one in KMS. For signing only: what PyJWT's base class demands
    besides is refused, so that nothing can ever be taken for verified here.
    """

    def __init__(self, signer: Signer) -> None:
        self._signer = signer

    def prepare_key(self, key: Any) -> Any:
        return key

    def sign(self, msg: bytes, key: Any) -> bytes:
        return self._signer.sign(msg)

    def verify(self, msg: bytes, key: Any, sig: bytes) -> bool:
        raise TypeError("a signer verifies nothing")

    @staticmethod
    def to_jwk(key_obj: Any, as_dict: bool = False) -> NoReturn:
        raise TypeError("a signer gives no key away")

    @staticmethod
    def from_jwk(jwk: Any) -> NoReturn:
        raise TypeError("a signer takes no key")
