from __future__ import annotations

pytest_plugins = ["postgres_server", "platform_fixture"]
