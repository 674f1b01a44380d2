"""Attested documents: a JSON object and a detached ES256 JWS over its canonical form (MOD-143 11.3).

The status, the manifest of an export and a drill's report are such. Whoever has the public key can check one without
neonctl: canonicalise ``document`` by RFC 8785, put it between the two dots of ``signature`` as base64url, verify.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Literal, cast, get_args

import rfc8785

from neonctl.banking.signing.jws import attach, parse_compact, sign_detached, signed_by
from neonctl.banking.signing.strict_json import object_of
from neonctl.errors import NeonctlError, UsageError

if TYPE_CHECKING:
    from neonctl.banking.signing.keys import PublicKey, Signer

Kind = Literal["obr-status", "obr-export", "obr-drill"]
SCHEMA_VERSION: Final = 1
_LARGEST_BYTES: Final = 1_000_000
_MEMBERS: Final = {"schema_version", "document", "key_id", "signature"}


@dataclass(frozen=True)
class Attested:
    """A document whose signature holds."""

    kind: Kind
    document: Mapping[str, Any]
    key_id: str


def attest(document: Mapping[str, Any], signer: Signer) -> dict[str, Any]:
    """``document``, which has its ``kind``, with its signature: what is written into a file.

    Amounts and other fractions must be text. Raises ``UsageError`` STATUS_KEY_INVALID for a key that is not ES256.
    """
    check_status_key(signer.public)
    payload = rfc8785.dumps(dict(document))
    return {
        "schema_version": SCHEMA_VERSION,
        "document": document,
        "key_id": signer.public.key_id,
        "signature": sign_detached(payload, signer, typ=_typ(document["kind"])),
    }


def check_status_key(key: PublicKey) -> None:
    """Refuse a key that may not attest. Raises ``UsageError`` STATUS_KEY_INVALID."""
    if key.algorithm != "ES256":
        raise UsageError(
            "STATUS_KEY_INVALID",
            "a status is signed with ES256: this key is not of P-256",
            hint="neonctl obr keys generate --type p256",
        )


def check_attested(text: str, key: PublicKey, *, name: str) -> Attested:
    """The document in ``text``, the contents of the file ``name``, signed by ``key``.

    Raises ``UsageError`` ATTESTED_INVALID when it is no such document; ``NeonctlError`` ATTESTED_FOREIGN_KEY when
    another key signed it, ATTESTED_ALTERED when it is not what was signed.
    """
    document, key_id, signature = _parsed(text, name)
    try:
        jws = parse_compact(attach(signature, rfc8785.dumps(document)), largest=2 * _LARGEST_BYTES)
    except (ValueError, rfc8785.CanonicalizationError) as error:
        raise _invalid(name, str(error)) from None
    if jws.key_id != key.key_id:
        raise NeonctlError(
            "ATTESTED_FOREIGN_KEY",
            f"{name} was signed by the key {jws.key_id:.43}, this is {key.key_id}",
            hint="ask the bank for the public key of that id, over another way than the document came by",
            details={"signed_by": jws.key_id, "given": key.key_id},
        )
    if key_id != jws.key_id or jws.typ != _typ(document.get("kind")) or not signed_by(jws, key):
        raise NeonctlError("ATTESTED_ALTERED", f"{name} is not what was signed", hint="ask for it again")
    kind = document["kind"]
    if kind not in get_args(Kind):
        raise _invalid(name, "its kind is not known here")
    return Attested(cast("Kind", kind), document, key_id)


def sha256_of(content: bytes) -> str:
    """What a manifest says of its file."""
    return hashlib.sha256(content).hexdigest()


def check_content(found: Attested, content: bytes, *, name: str) -> None:
    """Refuse an exported file that is not the one of its manifest.

    Raises ``NeonctlError`` EXPORT_ALTERED.
    """
    if sha256_of(content) != found.document.get("sha256"):
        raise NeonctlError("EXPORT_ALTERED", f"{name} is not what was exported", hint="ask for both files again")


def attested_text(attested: Mapping[str, Any]) -> str:
    """The file of an attested document."""
    return json.dumps(attested, indent=2, ensure_ascii=False) + "\n"


def _parsed(text: str, name: str) -> tuple[dict[str, Any], str, str]:
    if len(text) > _LARGEST_BYTES:
        raise _invalid(name, "it is too long")
    try:
        whole = object_of(text)
    except ValueError as error:
        raise _invalid(name, str(error)) from None
    if set(whole) != _MEMBERS or whole["schema_version"] != SCHEMA_VERSION:
        raise _invalid(name, f"it has other members than {', '.join(sorted(_MEMBERS))}")
    document, key_id, signature = whole["document"], whole["key_id"], whole["signature"]
    if not isinstance(document, dict) or not isinstance(key_id, str) or not isinstance(signature, str):
        raise _invalid(name, "its members are not a document and its signature")
    return cast("dict[str, Any]", document), key_id, signature


def _typ(kind: object) -> str:
    return f"{kind}+jws"


def _invalid(name: str, why: str) -> UsageError:
    return UsageError(
        "ATTESTED_INVALID",
        f"{name} is no signed document: {why}",
        hint="`neonctl obr status --signed --out FILE` writes one",
    )
