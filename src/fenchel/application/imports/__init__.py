"""Importing files into tables: uploads, parsing, the worker that writes (database spec. 10)."""

from fenchel.application.imports.service import ImportRequest, ImportService
from fenchel.application.imports.uploads import ImportUploads
from fenchel.application.imports.worker import ImportWorker

__all__ = ["ImportRequest", "ImportService", "ImportUploads", "ImportWorker"]
