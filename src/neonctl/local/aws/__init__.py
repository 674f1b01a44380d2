"""Secrets Manager, Parameter Store, EventBridge, KMS signing and STS on one port, for an unchanged boto3.

Written from AWS's published API text and sharing nothing with the client side, so that a mistake about
staging labels in the client meets a second opinion here. ``store`` keeps the state, ``app`` is the HTTP
front, one file per service holds its rules.
"""

from __future__ import annotations
