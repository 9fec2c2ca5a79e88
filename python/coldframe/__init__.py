"""coldframe keeps dataframes alive between tasks.

Hand it a frame of any library; it streams it, in bounded memory, into plain Parquet or Arrow files on a local path, S3,
GCS or Azure, and returns a small reference. Whoever holds the reference, in any language, gets the same table back,
checked, or a clear error.

>>> import coldframe, polars
>>> store = coldframe.Store("memory://")
>>> reference = store.put("etl/trips", polars.DataFrame({"fare": [12.5, 7.0]}), expires="7d")
>>> store.get("etl/trips")["fare"].to_list()
[12.5, 7.0]
"""

from __future__ import annotations

from coldframe import errors
from coldframe._coldframe import __version__
from coldframe.errors import ColdframeError, LossyWarning
from coldframe.fingerprints import fingerprint
from coldframe.listing import Listing, Verification, VersionEntry, Versions
from coldframe.reference import ResultReference
from coldframe.scan import Scan
from coldframe.schema import Schema
from coldframe.serializers import Arrow, Bytes, Compressed, Json, Parquet, Pickle
from coldframe.serializers import register as register_serializer
from coldframe.store import Store

__all__ = [
    "Arrow",
    "Bytes",
    "ColdframeError",
    "Compressed",
    "Json",
    "Listing",
    "LossyWarning",
    "Parquet",
    "Pickle",
    "ResultReference",
    "Scan",
    "Schema",
    "Store",
    "Verification",
    "VersionEntry",
    "Versions",
    "__version__",
    "errors",
    "fingerprint",
    "register_serializer",
]


def __dir__() -> list[str]:
    return [*__all__, "__doc__", "__file__", "__name__", "__path__"]
