"""Where credentials live: Secrets Manager and Parameter Store, through boto3."""

from __future__ import annotations
