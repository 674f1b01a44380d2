"""Where botocore finds its models of AWS's services. Imports botocore: to be imported where that is needed anyway."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

from botocore.loaders import JSONFileLoader, Loader, instance_cache


class PlainFiles(JSONFileLoader):
    """Model files as plain dictionaries, which keep their order too and are read in half the time."""

    def load_file(self, file_path: str) -> Any:
        """The contents of ``file_path`` with ``.json`` or ``.json.gz`` behind it; None when there is neither."""
        plain, packed = Path(f"{file_path}.json"), Path(f"{file_path}.json.gz")
        if plain.is_file():
            return json.loads(plain.read_bytes())
        return json.loads(gzip.decompress(packed.read_bytes())) if packed.is_file() else None


class ServiceModels(Loader):
    """botocore's loader, which does not look into the folders of four hundred services to know the name of one."""

    FILE_LOADER_CLASS = PlainFiles

    @instance_cache
    def list_available_services(self, type_name: str) -> list[str]:
        """Every service that has a folder, whether it has a model of that type or not."""
        folders = [Path(path) for path in self.search_paths]
        return sorted({service.name for folder in folders if folder.is_dir() for service in folder.iterdir()})
