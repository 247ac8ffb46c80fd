"""What an audit found as plain data: JSON for programs, and back."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

import shapely

from gridpart._io import PathLike, write_bytes
from gridpart.coverage import Comparison, audit_counts, audit_ok, findings_from_json
from gridpart.coverage.catalogue import COLUMNS
from gridpart.errors import InputError

if TYPE_CHECKING:
    import geopandas as gpd

__all__ = ["audit_json", "columns_of", "is_missing", "read_audit_json", "write_audit_json"]

SCHEMA_VERSION = 2


def audit_json(findings: gpd.GeoDataFrame, *, since: Comparison | None = None) -> dict[str, Any]:
    """Findings as plain data for JSON.

    Parameters
    ----------
    findings : GeoDataFrame
        From :func:`gridpart.audit`.
    since : Comparison, optional
        With an earlier audit, from :func:`gridpart.compare_audits`; its findings are written.

    Returns
    -------
    dict
        ``schema_version``, ``ok``, ``counts`` (defects by check) and ``findings``: one dict each
        with every column; ``bbox`` is a list of west, south, east, north, or null; what was not
        measured is null; ``geometry`` is a GeoJSON geometry, to the millimetre, in the CRS of the
        audit. Since version 2 also ``crs`` and ``scope`` (what was checked), each null if it is
        not known, and in a comparison ``since``: its ``counts`` and the findings ``cured`` and
        ``unknown``; each finding then says its ``change``. A version only adds keys.

    Examples
    --------
    >>> import geopandas as gpd
    >>> from shapely import box
    >>> from gridpart import audit
    >>> zones = gpd.GeoDataFrame(geometry=[box(0, 0, 9, 9)], crs="EPSG:4547")
    >>> data = audit_json(audit(zones))
    >>> list(data), data["ok"], data["crs"]
    (['schema_version', 'ok', 'counts', 'crs', 'scope', 'findings'], True, 'EPSG:4547')
    """
    if since is not None:
        findings = since.findings
    data = {
        "schema_version": SCHEMA_VERSION,
        "ok": audit_ok(findings),
        "counts": audit_counts(findings),
        "crs": None if findings.crs is None else findings.crs.to_string(),
        "scope": findings.attrs.get("scope"),
        "findings": _plain_rows(findings),
    }
    if since is not None:
        data["since"] = {
            "counts": since.counts,
            "cured": _plain_rows(since.cured),
            "unknown": _plain_rows(since.unknown),
        }
    return data


def columns_of(findings: gpd.GeoDataFrame) -> list[str]:
    """Columns to write: with the change, where findings were compared."""
    return [*COLUMNS, *(["change"] if "change" in findings.columns else [])]


def _plain_rows(findings: gpd.GeoDataFrame) -> list[dict[str, Any]]:
    names = columns_of(findings)
    return [
        _plain(dict(zip(names, row, strict=True)), shape)
        for row, shape in zip(
            findings[names].itertuples(index=False, name=None), findings.geometry, strict=True
        )
    ]


def _plain(row: dict[str, Any], shape: Any) -> dict[str, Any]:
    """One finding without numpy types, NaN or pandas' missing values."""
    row["bbox"] = [float(part) for part in row["bbox"].split()] or None
    for name in ("area_m2", "length_m"):
        row[name] = round(float(row[name]), 6) if math.isfinite(row[name]) else None
    row["households"] = None if is_missing(row["households"]) else int(row["households"])
    row["n"] = int(row["n"])
    row["geometry"] = None if shape is None else _rounded(json.loads(shapely.to_geojson(shape)))
    return row


def is_missing(value: Any) -> bool:
    """Whether a value is one of those that stand for none."""
    import pandas as pd

    return bool(pd.isna(value))


def _rounded(value: Any) -> Any:
    if isinstance(value, float):
        return round(value, 3)
    if isinstance(value, list):
        return [_rounded(part) for part in value]
    if isinstance(value, dict):
        return {key: _rounded(part) for key, part in value.items()}
    return value


def write_audit_json(
    findings: gpd.GeoDataFrame, path: PathLike, *, since: Comparison | None = None
) -> None:
    """Write :func:`audit_json` to a file, whole or not at all.

    Parameters
    ----------
    findings : GeoDataFrame
        From :func:`gridpart.audit`.
    path : str or path
        The file.
    since : Comparison, optional
        With an earlier audit.

    Raises
    ------
    OutputError
        If the file cannot be written.
    """
    text = json.dumps(
        audit_json(findings, since=since), ensure_ascii=False, allow_nan=False, indent=1
    )
    write_bytes(path, (text + "\n").encode("utf-8"))


def read_audit_json(path: PathLike, *, crs: Any = None) -> gpd.GeoDataFrame:
    """Read the findings of an earlier audit.

    Parameters
    ----------
    path : str or path
        Written by :func:`write_audit_json`.
    crs : CRS or str, optional
        See :func:`gridpart.coverage.findings_from_json`.

    Raises
    ------
    InputError
        If there is no such file, or it holds no audit.
    """
    try:
        data = json.loads(Path(path).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: cannot be read as an earlier audit ({error})") from error
    if not isinstance(data, dict):
        raise InputError(f"{path}: this is no audit")
    try:
        return findings_from_json(data, crs)
    except InputError as error:
        raise InputError(f"{path}: {error}") from error
