"""Secrets Manager's GetRandomPassword."""

from __future__ import annotations

import secrets
import string
from typing import TYPE_CHECKING

from neonctl.local.aws.wire import AwsError

if TYPE_CHECKING:
    from neonctl.local.aws.call import Answer, Call


def random_password(call: Call) -> Answer:
    """A password of 1 to 4096 characters (32), with one of each included type unless told otherwise."""
    params = call.params
    length = params.number("PasswordLength")
    length = 32 if length is None else length
    if not 1 <= length <= 4096:
        raise AwsError("InvalidParameterException", "PasswordLength must be between 1 and 4096.")
    excluded = set(params.find("ExcludeCharacters") or "")
    types = {
        "ExcludeLowercase": string.ascii_lowercase,
        "ExcludeUppercase": string.ascii_uppercase,
        "ExcludeNumbers": string.digits,
        "ExcludePunctuation": string.punctuation,
    }
    alphabets = [chars for name, chars in types.items() if not params.flag(name)]
    if params.flag("IncludeSpace"):
        alphabets.append(" ")
    alphabets = ["".join(char for char in alphabet if char not in excluded) for alphabet in alphabets]
    each = params.flag("RequireEachIncludedType", default=True)
    if not "".join(alphabets) or (each and ("" in alphabets or length < len(alphabets))):
        raise AwsError(
            "InvalidRequestException",
            "The password can't satisfy the length, the exclusions and the required types.",
        )
    chosen = [secrets.choice(alphabet) for alphabet in alphabets] if each else []
    chosen += [secrets.choice("".join(alphabets)) for _ in range(length - len(chosen))]
    secrets.SystemRandom().shuffle(chosen)
    return {"RandomPassword": "".join(chosen)}
