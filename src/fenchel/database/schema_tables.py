"""Placeholder by APPLICATION so that fenchel.application imports; DATABASE replaces this file."""


class SchemaTables: ...
