"""Read any vector or table file; write whole or not at all.

Everything that touches a file goes through here, so that the promises about files are kept in
one place: an unreadable file is an :class:`~gridpart.errors.InputError` that names it, text
columns keep their leading zeros, and an output appears under its name only when it is complete.
"""

from __future__ import annotations

import hashlib
import io
import os
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from gridpart.errors import InputError, OutputError

if TYPE_CHECKING:
    import geopandas as gpd
    import pandas as pd

__all__ = [
    "check_names",
    "check_output",
    "file_sha256",
    "list_layers",
    "read_attributes",
    "read_table",
    "read_vector",
    "together",
    "write_bytes",
    "write_layers",
    "writing",
]

PARQUET_SUFFIXES = (".parquet", ".geoparquet", ".pq")
TABLE_SUFFIXES = (".csv", ".txt", ".tsv", ".xlsx", ".xlsm")
PORTION = 1 << 15  # rows that are written at a time
POLYGON, MULTIPOLYGON = 3, 6  # shapely's type ids
PathLike = str | os.PathLike[str]
# Complete outputs that wait for others, with the names they shall take.
_finished: ContextVar[list[tuple[Path, Path]] | None] = ContextVar("_finished", default=None)


def _existing(path: PathLike) -> Path:
    path = Path(path)
    if not path.exists():
        raise InputError(f"{path}: no such file")
    return path


def list_layers(path: PathLike) -> list[str]:
    """Names of the layers of a vector file, in its own order."""
    import pyogrio
    from pyogrio.errors import DataSourceError

    path = _existing(path)
    try:
        return [str(name) for name, _ in pyogrio.list_layers(path)]
    except DataSourceError as error:
        raise InputError(
            f"{path}: not a vector file that can be read ({_first_clause(error)})"
        ) from error


def _first_clause(error: Exception) -> str:
    """What GDAL found, without its advice to programmers."""
    return str(error).splitlines()[0].split(";")[0].split(". ")[0]


def _dbf_text(content: bytes) -> bytes:
    """Names and values of a dBASE table, without the binary parts of its header."""
    header = int.from_bytes(content[8:10], "little")
    names = b"".join(
        content[at : at + 11].split(b"\0")[0] for at in range(32, max(header - 1, 32), 32)
    )
    return names + b" " + content[header:]


def _dbf_encoding(path: Path) -> str | None:
    """Choose the encoding of a Shapefile's table by its bytes.

    Tables in GBK often come without a ``.cpg`` or with one that is wrong, so the text itself is
    asked: what is valid in the declared encoding or in UTF-8 (but for a value cut in the middle of
    a character here and there) is read so, the rest as GB 18030, of which GBK and GB 2312 are
    subsets.
    """
    table = path.with_suffix(".dbf")
    if not table.exists():
        return None
    codepage = path.with_suffix(".cpg")
    declared = codepage.read_text(errors="replace").strip() if codepage.exists() else "utf-8"
    text = _dbf_text(table.read_bytes())
    foreign = sum(byte > 127 for byte in text)
    for encoding in (declared, "utf-8"):
        try:
            broken = text.decode(encoding, errors="replace").count("\ufffd")
        except LookupError:
            continue
        if broken * 20 <= foreign:
            return encoding
    return "gb18030"


def read_vector(path: PathLike, *, layer: str | None = None) -> gpd.GeoDataFrame:
    """Read one layer of a GeoPackage, GeoParquet, GeoJSON, Shapefile or any file GDAL reads.

    Parameters
    ----------
    path : str or path
        The file.
    layer : str, optional
        Which layer; needed only where the file has several.

    Returns
    -------
    GeoDataFrame
        With the file's columns and order.

    Raises
    ------
    InputError
        If the file is missing, is no vector file, has no such layer, or has several layers and
        none was named. The message lists the layers.
    """
    import geopandas as gpd
    from pyogrio.errors import DataLayerError, DataSourceError

    path = _existing(path)
    if path.suffix.lower() in PARQUET_SUFFIXES:
        return _read_parquet(path)
    layers = list_layers(path)
    if layer is None:
        if len(layers) != 1:
            names = ", ".join(layers) or "none"
            raise InputError(f"{path}: choose a layer; the file has: {names}")
        layer = layers[0]
    elif layer not in layers:
        raise InputError(f"{path}: no layer {layer!r}; the file has: {', '.join(layers)}")
    encoding = _dbf_encoding(path) if path.suffix.lower() == ".shp" else None
    try:
        frame = gpd.read_file(path, layer=layer, encoding=encoding)
    except (DataSourceError, DataLayerError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: cannot be read ({error})") from error
    if not isinstance(frame, gpd.GeoDataFrame):
        raise InputError(f"{path}: layer {layer!r} has no geometry")
    # what a GeoPackage writes for none: older releases of GDAL make a CRS of it
    if frame.crs is not None and frame.crs.name.lower().startswith("undefined"):
        frame = frame.set_crs(None, allow_override=True)
    return frame


def _read_parquet(path: Path) -> gpd.GeoDataFrame:
    import geopandas as gpd

    try:
        return gpd.read_parquet(path)
    except ImportError as error:
        raise InputError(f"{path}: GeoParquet needs pyarrow; install gridpart[parquet]") from error
    except (ValueError, OSError) as error:
        raise InputError(f"{path}: not a GeoParquet file ({error})") from error


def read_attributes(path: PathLike, *, layer: str) -> pd.DataFrame:
    """Read a layer without its geometry."""
    import pyogrio

    return pyogrio.read_dataframe(_existing(path), layer=layer, read_geometry=False)


def read_table(path: PathLike, *, sheet: str | int = 0) -> pd.DataFrame:
    """Read a CSV or Excel table with every cell as text, so that no code loses a zero.

    Parameters
    ----------
    path : str or path
        ``.csv``, ``.tsv``, ``.txt`` (UTF-8, else GB 18030) or ``.xlsx``.
    sheet : str or int, default 0
        Which sheet of a workbook.

    Returns
    -------
    DataFrame
        Strings stripped of surrounding blanks; empty cells are ``NaN``.
    """
    import pandas as pd

    path = _existing(path)
    suffix = path.suffix.lower()
    if suffix not in TABLE_SUFFIXES:
        raise InputError(f"{path}: a table must be one of {', '.join(TABLE_SUFFIXES)}")
    try:
        if suffix in (".xlsx", ".xlsm"):
            frame = pd.read_excel(path, sheet_name=sheet, dtype=str, engine="openpyxl")
        else:
            frame = _read_delimited(path)
    except (ValueError, OSError, KeyError) as error:
        raise InputError(f"{path}: cannot be read as a table ({error})") from error
    except Exception as error:
        # openpyxl passes on zipfile's and the XML parser's own errors for foreign files.
        if type(error).__module__.startswith(("zipfile", "openpyxl", "xml")):
            raise InputError(f"{path}: cannot be read as a table ({error})") from error
        raise
    frame.columns = [str(name).strip() for name in frame.columns]
    frame = frame.apply(lambda column: column.str.strip())
    return frame.mask(frame == "").dropna(how="all")


def _read_delimited(path: Path) -> pd.DataFrame:
    import pandas as pd

    try:
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError:
        text = path.read_text(encoding="gb18030")
    if not text.strip():
        raise InputError(f"{path}: the table is empty")
    head = next(line for line in text.splitlines() if line.strip())
    separator = "\t" if "\t" in head else ","
    # blank lines are kept until the empty rows are dropped, so that a row knows its line
    return pd.read_csv(
        io.StringIO(text.lstrip("\r\n")), dtype=str, sep=separator, skip_blank_lines=False
    )


def file_sha256(path: PathLike) -> str:
    """SHA-256 of a file, in hexadecimal."""
    with _existing(path).open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


@contextmanager
def writing(path: PathLike) -> Iterator[Path]:
    """Yield a temporary path beside `path`; on success it takes the name, on failure it goes.

    Parameters
    ----------
    path : str or path
        Where the output shall appear. Its folder must exist.

    Raises
    ------
    OutputError
        If the folder is missing or the file cannot be replaced, for instance because another
        program holds it open. The old file is untouched then.
    """
    path = Path(path)
    if not path.parent.is_dir():
        raise OutputError(f"{path}: the folder {path.parent} does not exist")
    if path.is_dir():
        raise OutputError(f"{path}: is a folder, not a file")
    try:
        folder = Path(tempfile.mkdtemp(prefix=f".{path.stem}-", dir=path.parent))
    except OSError as error:
        raise OutputError(f"{path}: the folder cannot be written ({error.strerror})") from error
    # GDAL keeps side files (-journal, -wal) beside what it writes: a folder holds them all.
    temporary = folder / path.name
    finished, waits = _finished.get(), False
    try:
        yield temporary
        if finished is None:
            _put(temporary, path)
        else:
            finished.append((temporary, path))
            waits = True
    finally:
        if not waits:
            _clear(folder)


@contextmanager
def together() -> Iterator[None]:
    """Let outputs written inside take their names when all are complete, or none of them.

    Raises
    ------
    OutputError
        If a file cannot be replaced; it names those that were before it.
    """
    finished: list[tuple[Path, Path]] = []
    token = _finished.set(finished)
    try:
        yield
        for k, (temporary, path) in enumerate(finished):
            try:
                _put(temporary, path)
            except OutputError as error:
                before = ", ".join(str(done) for _, done in finished[:k])
                raise OutputError(f"{error}; written before: {before or 'nothing'}") from error
    finally:
        _finished.reset(token)
        for temporary, _ in finished:
            _clear(temporary.parent)


def _put(temporary: Path, path: Path) -> None:
    try:
        temporary.replace(path)
    except OSError as error:
        raise OutputError(
            f"{path}: cannot be replaced; is it open in another program? ({error.strerror})"
        ) from error


def _clear(folder: Path) -> None:
    for leftover in folder.iterdir():
        leftover.unlink()
    folder.rmdir()


def write_bytes(path: PathLike, content: bytes) -> None:
    """Write `content` to `path`, whole or not at all."""
    with writing(path) as temporary:
        temporary.write_bytes(content)


def write_layers(path: PathLike, layers: Mapping[str, pd.DataFrame]) -> None:
    """Write frames, with or without geometry, as the layers of one GeoPackage.

    Parameters
    ----------
    path : str or path
        Ends in ``.gpkg``.
    layers : mapping of str to DataFrame or GeoDataFrame
        Layer name to content, in the order in which they shall stand.
    """
    import pyogrio

    options: dict[str, str] | None
    if Path(path).suffix.lower() != ".gpkg":
        raise OutputError(f"{path}: a plan is a GeoPackage; let the name end in .gpkg")
    for frame in layers.values():
        check_names(frame)
    with writing(path) as temporary:
        for name, frame in layers.items():
            taken = {str(column).lower() for column in frame.columns}
            # columns of the caller's may be called what GeoPackage calls its own
            options = {"FID": _free("fid", taken), "GEOMETRY_NAME": _free("geom", taken)}
            if not hasattr(frame, "geometry"):
                del options["GEOMETRY_NAME"]
            for rows, form in _portions(frame):
                pyogrio.write_dataframe(
                    rows, temporary, layer=name, driver="GPKG", append=temporary.exists(),
                    layer_options=options, **form,
                )  # fmt: skip
                options = None  # the layer is there now


def _portions(frame: pd.DataFrame) -> Iterator[tuple[pd.DataFrame, dict[str, Any]]]:
    """Rows to write at a time, and what the writer would else infer from all of them.

    Writing makes bytes of every shape and an object of every text: of a city, more than the city
    itself takes.
    """
    form = _form(frame) if len(frame) > PORTION else None
    if form is None:
        yield frame, {}
        return
    for start in range(0, len(frame), PORTION):
        yield frame.iloc[start : start + PORTION], form


def _form(frame: pd.DataFrame) -> dict[str, Any] | None:
    """Type of the shapes for the writer; None if the rows must be seen together."""
    import pandas as pd
    import shapely

    objects = (column for _, column in frame.items() if column.dtype == object)
    if any(pd.api.types.infer_dtype(column) not in ("string", "empty") for column in objects):
        return None
    if not hasattr(frame, "geometry"):
        return {}
    shapes = frame.geometry.to_numpy()
    kinds = np.unique(shapely.get_type_id(shapes)).tolist()
    if shapely.has_z(shapes).any() or kinds not in (
        [POLYGON],
        [MULTIPOLYGON],
        [POLYGON, MULTIPOLYGON],
    ):
        return None
    if kinds == [POLYGON]:
        return {"geometry_type": "Polygon"}
    return {"geometry_type": "MultiPolygon", "promote_to_multi": True}


def check_names(frame: pd.DataFrame) -> None:
    """Refuse columns whose names differ only in case: no vector file can hold both."""
    seen: dict[str, str] = {}
    for column in map(str, frame.columns):
        other = seen.setdefault(column.lower(), column)
        if other != column:
            raise InputError(f"columns {other!r} and {column!r} differ only in case; rename one")


def _free(name: str, taken: set[str]) -> str:
    while name in taken:
        name += "_"
    return name


def check_output(path: PathLike, suffixes: Sequence[str], inputs: Iterable[PathLike] = ()) -> None:
    """Find out before long work, not after it, that an output cannot be written.

    Parameters
    ----------
    path : str or path
        Where the output shall appear.
    suffixes : sequence of str
        Endings it may have, such as ``(".gpkg",)``.
    inputs : iterable of path
        Files that it must not replace.

    Raises
    ------
    OutputError
        If the ending is another, the folder is missing or cannot be written, or the path is a
        folder or one of the inputs.
    """
    path = Path(path)
    if path.suffix.lower() not in suffixes:
        raise OutputError(f"{path}: let the name end in {' or '.join(suffixes)}")
    if not path.parent.is_dir():
        raise OutputError(f"{path}: the folder {path.parent} does not exist")
    if path.is_dir():
        raise OutputError(f"{path}: is a folder, not a file")
    if not os.access(path.parent, os.W_OK):
        raise OutputError(f"{path}: the folder {path.parent} cannot be written")
    for other in inputs:
        if path.exists() and Path(other).exists() and path.samefile(other):
            raise OutputError(f"{path}: is an input, and would be replaced; choose another name")
