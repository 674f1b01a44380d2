"""A process with a throw-away branch, to send signals to: ``python throwaway_process.py FOLDER ENVIRONMENT``."""

from __future__ import annotations

import os
import sys
import threading
from datetime import UTC, datetime
from pathlib import Path

from neonctl.local import state
from neonctl.local.layout import Layout
from neonctl.pipelines.configuration import read_configuration
from neonctl.provision.progress import Event
from neonctl.provision.services import Services
from neonctl.provision.throwaway import throwaway_branch
from neonctl.settings import Settings


def say(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def tell(event: Event) -> None:
    say(f"{event.state} {event.subject}")


def main() -> None:
    folder, environment = Path(sys.argv[1]), sys.argv[2]
    platform = state.read_state(Layout(Path(os.environ["NEONCTL_LOCAL_DIR"])))
    assert platform is not None
    settings = Settings.from_environment({}).with_local_platform(
        api_url=platform.api_url,
        api_key=platform.api_key,
        org_id=platform.org_id,
        aws_endpoint_url=platform.aws_endpoint_url,
        ca_file=platform.ca_file,
    )
    desired = read_configuration(folder / "config", folder / "db").desired
    services = Services(settings, desired, purpose="test")
    with throwaway_branch(
        desired,
        services,
        environment=environment,
        purpose="rehearsal",
        databases=["bank_aml"],
        progress=tell,
        now=datetime.now(UTC),
    ) as branch:

        def work() -> None:
            try:
                with branch.login("bank_aml") as connection:
                    say("working")
                    connection.execute("SELECT pg_sleep(600)")
            except Exception as error:
                say(f"thread: {type(error).__name__}")

        thread = threading.Thread(target=work)
        thread.start()
        thread.join()


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        say("interrupted")
        sys.exit(130)
