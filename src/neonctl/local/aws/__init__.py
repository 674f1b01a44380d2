"""Secrets Manager, Parameter Store, EventBridge, KMS signing and STS on one port, for an unchanged boto3.

Written from AWS's published API text and sharing nothing with the client side, so that a mistake about
staging labels in the client meets a second opinion here. ``store`` keeps the state, ``app`` is the HTTP
front, one file per service holds its rules.

Who may use it: every process of this machine, and nothing else. It listens on the loopback interface, takes
any static access key with any secret, and there is no IAM. What a web page could send is refused, for every
path: a Host other than localhost, 127.0.0.1 or [::1], and any Origin (``guard``).

Where it differs from AWS, on purpose:

- One store for all accounts and regions: a name is taken once, and whoever looks sees everything. What is made
  carries the account and region of its maker in its ARN.
- The access key id says the account: twelve digits mean that account, anything else 000000000000. Its secret is
  not checked. Roles need no making and anybody may assume them; their temporary keys are checked in full.
- A bus and a KMS alias are found by name in any ARN, whichever account and region it says.
- Secrets Manager and Parameter Store make the key of an unknown ``alias/…`` at its first use. Symmetric keys
  encrypt nothing here: all values are sealed by the store's own key.
- Events are kept to be looked at and delivered to nobody; rules are records.
- There are no Lambda functions, so RotateSecret refuses.
"""

from __future__ import annotations
