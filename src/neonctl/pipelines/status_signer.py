"""Who signs what the bank says about its resolution: status, exports, drill reports (MOD-143 11.3)."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from neonctl.banking.key_files import kept_key, read_signer
from neonctl.banking.signing.attested import check_status_key
from neonctl.banking.signing.keys import Signer, public_from_der, raw
from neonctl.errors import UsageError

if TYPE_CHECKING:
    from neonctl.desired.model import Desired
    from neonctl.provision.services import Services
    from neonctl.secret import Secret


def status_signer(
    environment: str,
    *,
    desired: Desired,
    services: Services,
    key_file: Path | None,
    passphrase: Secret | None,
    local_key: Path,
) -> Signer:
    """The key file that was given, else the KMS key of the YAML, else on the embedded platform ``local_key``.

    Raises ``UsageError`` STATUS_KEY_MISSING when there is none of these, STATUS_KEY_INVALID when it is not of P-256;
    ``AwsError`` when KMS refuses.
    """
    spec = desired.environments[environment]
    if key_file is not None:
        signer = read_signer(key_file, passphrase)
    elif spec.resolution.status_key_id is not None:
        kept = services.aws(spec.aws).signing_key(spec.resolution.status_key_id)
        public = public_from_der(kept.public_der(), name=kept.key_id)
        signer = Signer(public, lambda message: raw(kept.sign(message)))
    elif services.settings.local:
        signer = kept_key(local_key)
    else:
        raise UsageError(
            "STATUS_KEY_MISSING",
            f"there is no key that signs for {environment}",
            hint=f"name a KMS key as resolution.status_key_id in {environment}.yaml, or give --key FILE",
        )
    check_status_key(signer.public)
    return signer
