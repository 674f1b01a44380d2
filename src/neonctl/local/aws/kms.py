"""KMS: which operations are offered. Asymmetric signing, aliases, and symmetric keys by name only."""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING

from neonctl.local.aws import kms_aliases, kms_keys, kms_signing

if TYPE_CHECKING:
    from collections.abc import Mapping

    from neonctl.local.aws.call import Operation

OPERATIONS: Mapping[str, Operation] = MappingProxyType(
    {
        "CreateAlias": kms_aliases.create_alias,
        "CreateKey": kms_keys.create_key,
        "DeleteAlias": kms_aliases.delete_alias,
        "DescribeKey": kms_keys.describe_key,
        "DisableKey": kms_keys.disable_key,
        "EnableKey": kms_keys.enable_key,
        "GetPublicKey": kms_signing.get_public_key,
        "ListAliases": kms_aliases.list_aliases,
        "ListKeys": kms_keys.list_keys,
        "ListResourceTags": kms_keys.list_tags,
        "ScheduleKeyDeletion": kms_keys.schedule_deletion,
        "Sign": kms_signing.sign,
        "Verify": kms_signing.verify,
    }
)
