"""Find a font that can write Chinese labels, without touching matplotlib's settings.

A text keeps the caller's font wherever that font has all its characters; only a text it cannot
write gets another one. So a map with plain codes looks as the caller's style wants it.
"""

from __future__ import annotations

import importlib.util
import warnings
from collections.abc import Iterable
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from matplotlib import font_manager
from matplotlib.font_manager import FontProperties

from gridpart.errors import GridpartWarning, InputError

if TYPE_CHECKING:
    from matplotlib.ft2font import FT2Font

__all__ = ["Lettering", "font_for", "is_outline_cff"]

# Sans-serif families with simplified Chinese, best for small map labels first.
FAMILIES = (
    "Noto Sans CJK SC",
    "Noto Sans SC",
    "Source Han Sans SC",
    "Source Han Sans CN",
    "Source Han Sans",
    "PingFang SC",
    "Microsoft YaHei",
    "WenQuanYi Micro Hei",
    "WenQuanYi Zen Hei",
    "HarmonyOS Sans SC",
    "Hiragino Sans GB",
    "Heiti SC",
    "STHeiti",
    "SimHei",
    "DengXian",
    "Droid Sans Fallback",
    "Noto Sans CJK JP",
    "Noto Sans CJK TC",
    "Arial Unicode MS",
    "SimSun",
    "Songti SC",
    "Noto Serif CJK SC",
    "AR PL UMing CN",
)
# Beginnings of the file names of the same fonts, for a font that was installed after matplotlib
# had listed what there is.
# A collection opened by its file shows its first face: for Noto CJK that writes the Japanese forms
# of some characters, so it comes late.
FILE_STARTS = (
    "notosanssc",
    "sourcehansans",
    "pingfang",
    "msyh",
    "wqy-microhei",
    "wqy-zenhei",
    "hiragino sans gb",
    "stheiti",
    "simhei",
    "deng",
    "droidsansfallback",
    "simsun",
    "notosanscjk",
    "notoserifcjk",
)
ADVICE = (
    "no installed font can write {text!r}; on Debian or Ubuntu: apt install fonts-noto-cjk (or the "
    "small fonts-wqy-microhei); without the right to install: pip install mplfonts; Windows and "
    "macOS bring one. Or name a font yourself with font="
)


@lru_cache(maxsize=64)
def _open(path: str) -> FT2Font:
    return font_manager.get_font(path)


def _covers(path: str, characters: Iterable[str]) -> bool:
    try:
        face = _open(path)
    except (OSError, RuntimeError):  # a font file that FreeType cannot open is no candidate
        return False
    return all(face.get_char_index(ord(sign)) or sign.isspace() for sign in characters)


def is_outline_cff(font: FontProperties) -> bool:
    """Tell whether a font has PostScript outlines, which PDF cannot take as TrueType."""
    from fontTools.ttLib import TTFont

    with TTFont(font_manager.findfont(font), fontNumber=0, lazy=True) as face:
        return "CFF " in face or "CFF2" in face


@lru_cache(maxsize=1)
def _candidates() -> tuple[str, ...]:
    """Files of the known families, best first; a font inside ``mplfonts`` last."""
    listed = {entry.name for entry in font_manager.fontManager.ttflist}
    found: list[str] = [
        font_manager.findfont(FontProperties(family=family))
        for family in FAMILIES
        if family in listed
    ]
    files = sorted(font_manager.findSystemFonts())
    for start in FILE_STARTS:
        names = [file for file in files if Path(file).name.lower().startswith(start)]
        found += sorted(names, key=lambda file: ("regular" not in file.lower(), file))
    package = importlib.util.find_spec("mplfonts")
    if package is not None and package.submodule_search_locations:
        folder = Path(package.submodule_search_locations[0]) / "fonts"
        found += sorted(map(str, folder.glob("NotoSansCJKsc-*.otf")))
    return tuple(dict.fromkeys(found))


def _named(font: str | Path | FontProperties) -> FontProperties:
    if isinstance(font, FontProperties):
        return font
    if Path(font).suffix.lower() in (".ttf", ".otf", ".ttc"):
        if not Path(font).is_file():
            raise InputError(f"font={str(font)!r}: no such font file")
        return FontProperties(fname=str(font))
    try:
        path = font_manager.findfont(FontProperties(family=str(font)), fallback_to_default=False)
    except ValueError as error:
        raise InputError(
            f"font={str(font)!r}: no such font is installed; give the name of a family, such as "
            "'Noto Sans CJK SC', or the path of a .ttf, .otf or .ttc file"
        ) from error
    return FontProperties(fname=path)


def font_for(
    texts: Iterable[str], *, font: str | Path | FontProperties | None = None
) -> FontProperties | None:
    """Choose the font for texts that shall look alike.

    Parameters
    ----------
    texts : iterable of str
        What will be written.
    font : str, path or FontProperties, optional
        The caller's own choice: a family or a font file. It is taken as it is.

    Returns
    -------
    FontProperties or None
        ``None`` means that matplotlib's current font has all characters.

    Raises
    ------
    InputError
        If `font` names no font that is installed.

    Warns
    -----
    GridpartWarning
        If no font here has the characters; the text names a package that brings one.

    Examples
    --------
    >>> font_for(["Grid 001"]) is None
    True
    """
    if font is not None:
        return _named(font)
    current = font_manager.findfont(FontProperties())
    texts = [text for text in texts if not text.isascii()]
    texts = [text for text in texts if not _covers(current, set(text))]
    if not texts:
        return None
    characters = set("".join(texts))
    for path in _candidates():
        if _covers(path, characters):
            return FontProperties(fname=path)
    warnings.warn(ADVICE.format(text=texts[0][:20]), GridpartWarning, stacklevel=3)
    return None


class Lettering:
    """The font of every text on a picture, chosen once for all of them.

    Parameters
    ----------
    texts : iterable of str
        Everything that will be written.
    font : str, path or FontProperties, optional
        The caller's own choice, which then holds for every text.
    """

    def __init__(
        self, texts: Iterable[str], *, font: str | Path | FontProperties | None = None
    ) -> None:
        self._for_all = font is not None
        self._chosen = font_for(texts, font=font)

    def style(self, text: str) -> dict[str, Any]:
        """Keyword arguments for matplotlib that write `text`; none where its own font will do."""
        if self._chosen is None or (text.isascii() and not self._for_all):
            return {}
        return {"fontproperties": self._chosen.copy()}
