"""Where botocore finds its models of AWS's services. Imports botocore: to be imported where that is needed anyway."""

from __future__ import annotations

from pathlib import Path

from botocore.loaders import Loader


class ServiceModels(Loader):
    """botocore's loader, which does not look into the folders of four hundred services to know the name of one."""

    def list_available_services(self, type_name: str) -> list[str]:
        """Every service that has a folder, whether it has a model of that type or not."""
        folders = [Path(path) for path in self.search_paths]
        return sorted({service.name for folder in folders if folder.is_dir() for service in folder.iterdir()})
