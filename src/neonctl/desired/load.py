"""Reads ``config/`` from disk: the only file of this room that does."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

from neonctl.desired.document import Document, read
from neonctl.desired.judge import Files, judge
from neonctl.desired.model import Desired, EnvironmentSpec, PlatformSpec
from neonctl.desired.parse import Parsed, parse
from neonctl.desired.problem import NodePath, Problem, shown
from neonctl.desired.subject import PREVIEW
from neonctl.errors import ConfigError

_ENVIRONMENT_NAME = re.compile(r"[a-z][a-z0-9-]{0,30}")
# Harmless values for what the models require, so that one missing line does not hide all other problems.
_PLATFORM_STAND_INS: Mapping[NodePath, object] = {
    ("project",): {"name": "unknown", "region": "unknown", "postgres_version": 18},
    ("project", "name"): "unknown",
    ("project", "region"): "unknown",
    ("project", "postgres_version"): 18,
    ("residency",): {"allowed_regions": ["unknown"]},
    ("residency", "allowed_regions"): ["unknown"],
    ("databases", "*", "schemas"): ["unknown"],
    ("databases", "*", "roles"): {},
}


def _environment_stand_ins(name: str) -> Mapping[NodePath, object]:
    own = f"unknown-{name}"[:31]
    return {
        ("stage",): own,
        ("branch", "name"): own,
        ("compute",): {"min_cu": 1, "max_cu": 1},
        ("aws",): {"account_id": "000000000000", "region": "unknown"},
        ("aws", "account_id"): "000000000000",
        ("aws", "region"): "unknown",
    }


def load(config_dir: Path) -> Desired:
    """Read ``platform.yaml`` and ``environments/*.yaml``; ``preview.yaml`` becomes ``Desired.preview``.

    Raises ConfigError (``CONFIG_INVALID``) with every problem of every file in ``details["problems"]``, sorted by
    file and line. No value of the files stands in it, except names that rules must speak about.
    ``privileges`` and ``migrations`` come from ``db/`` and are left empty here.
    """
    files, problems = _read_all(config_dir)
    problems.extend(files.platform.problems)
    problems.extend(problem for parsed in files.environments.values() for problem in parsed.problems)
    problems.extend(files.preview.problems if files.preview else ())
    problems.extend(judge(files))
    environments = {name: parsed.model for name, parsed in files.environments.items() if parsed.model}
    if problems or files.platform.model is None:
        raise _config_error(config_dir, problems)
    return Desired(
        platform=files.platform.model,
        environments=environments,
        preview=files.preview.model if files.preview else None,
    )


def _read_all(config_dir: Path) -> tuple[Files, list[Problem]]:
    folder, problems = config_dir / "environments", list[Problem]()
    platform = parse(_document(config_dir / "platform.yaml"), PlatformSpec, _PLATFORM_STAND_INS)
    environments: dict[str, Parsed[EnvironmentSpec]] = {}
    preview = None
    for path in sorted(folder.iterdir()) if folder.is_dir() else ():
        if path.suffix == ".yml" and not path.name.startswith("."):
            problems.append(Problem(path.as_posix(), 1, "", "is not read: rename it to end in .yaml"))
        if path.suffix != ".yaml" or path.name.startswith("."):
            continue
        if not _ENVIRONMENT_NAME.fullmatch(path.stem):
            message = "a file is named after its environment: small letters, digits and `-`, at most 31"
            problems.append(Problem(path.as_posix(), 1, "", message))
            continue
        parsed = parse(_document(path), EnvironmentSpec, _environment_stand_ins(path.stem))
        if path.stem == PREVIEW:
            preview = parsed
        else:
            environments[path.stem] = parsed
    if not environments:
        problems.append(Problem(folder.as_posix(), 1, "", "no environment is described here (NAME.yaml)"))
    return Files(platform, environments, preview), problems


def _document(path: Path) -> Document:
    file = path.as_posix()
    try:
        return read(path.read_bytes(), file)
    except FileNotFoundError:
        message = "the file does not exist"
    except OSError as error:
        message = f"the file cannot be read: {error.strerror or 'unknown reason'}"
    return Document(file, None, {(): 1}, (Problem(file, 1, "", message),), frozenset({()}))


def _config_error(config_dir: Path, problems: list[Problem]) -> ConfigError:
    problems = sorted(set(problems))
    count = "1 problem" if len(problems) == 1 else f"{len(problems)} problems"
    hint = "correct the lines named above and run the command again; nothing has been changed"
    if not config_dir.is_dir():
        hint = f"there is no directory {shown(config_dir.as_posix())}: name the right one with `--config DIR`"
    return ConfigError(
        "CONFIG_INVALID",
        f"{count} in {config_dir.as_posix().rstrip('/')}/",
        hint=hint,
        details={"problems": [problem.as_details() for problem in problems]},
    )
