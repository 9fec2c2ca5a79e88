"""Frames of pandas to Arrow record batches, slice by slice, and back exactly."""

from __future__ import annotations

from coldframe.frames.pandas_in import prepare
from coldframe.frames.pandas_out import assemble, stored_columns

__all__ = ["assemble", "prepare", "stored_columns"]
