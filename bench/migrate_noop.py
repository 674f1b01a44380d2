"""``neonctl migrate up`` with nothing pending: one database, and the six of an environment. No latency.

Floor: a bare process that imports the same libraries, reads one secret with boto3 and opens one connection with
psycopg, the way their manuals show it. The command also reads the YAML and the files, assumes the role of the
environment, checks the account and compares each database's history with its files.
"""

from __future__ import annotations

import os
from pathlib import Path

from bench.embedded import embedded, neonctl
from bench.measure import Figure, command, python, say
from neonctl.desired.load import load
from neonctl.desired.model import first_database, secret_name

ENVIRONMENT = "dev"
_FLOOR = """
import json, sys
import typer, yaml, boto3, psycopg
from pydantic import BaseModel, Field, TypeAdapter
endpoint, region, account, secret, ca_file = sys.argv[1:]
client = boto3.client("secretsmanager", region_name=region, endpoint_url=endpoint,
                      aws_access_key_id=account, aws_secret_access_key="local")
held = json.loads(client.get_secret_value(SecretId=secret)["SecretString"])
psycopg.connect(host=held["direct_host"], port=held["direct_port"], dbname=held["dbname"], user=held["username"],
                password=held["password"], sslmode="verify-full", sslrootcert=ca_file).close()
"""


def run(runs: int) -> list[Figure]:
    """One platform, provisioned and migrated once; both commands and the floor by turns."""
    desired = load(Path("config"))
    spec, database = desired.environments[ENVIRONMENT], first_database(desired)
    with embedded() as platform:
        say(f"  provisioned in {neonctl(platform, 'apply'):.1f} s")
        secret = secret_name(spec.stage, database, "migrate_user")
        bare = python(
            "-c",
            _FLOOR,
            platform.aws_endpoint_url,
            spec.aws.region,
            spec.aws.account_id,
            secret,
            str(platform.ca_file),
        )
        up = ("migrate", "up", "--env", ENVIRONMENT)
        floor: list[float] = []
        one: list[float] = []
        all_of_them: list[float] = []
        neonctl(platform, *up)
        for _ in range(runs):
            floor.append(command(bare, os.environ))
            one.append(neonctl(platform, *up, "--database", database))
            all_of_them.append(neonctl(platform, *up))
    floor_is = "importing the libraries + one secret + one connection"
    count = len(desired.platform.databases)
    return [
        Figure("migrate up, nothing pending, one database", one, floor, floor_is, most_ratio=1.3),
        Figure(f"migrate up, nothing pending, {count} databases", all_of_them, floor, floor_is, most_ratio=1.6),
    ]
