"""What the areas of a map are called: grids, or those of another level of a plan."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    import geopandas as gpd

__all__ = ["Words", "parents_of", "word_of", "words_of"]

KNOWN = {"grid": "grid", "micro": "micro-grid", "community": "community"}


class Words(NamedTuple):
    """Words for an area, and for what it lies in."""

    area: str = "grid"
    parent: str = "community"

    @property
    def areas(self) -> str:
        """More than one of them."""
        return f"{self.area}s"

    @property
    def title(self) -> str:
        """Heading of a map of them."""
        return "Service grids" if self.area == "grid" else self.areas[:1].upper() + self.areas[1:]

    def heading(self, column: str) -> str:
        """Heading of the legend for a column."""
        return f"Households per {self.area}" if column == "households" else column


def words_of(plan: Any) -> Words:
    """Words for the areas of a plan, changes or grids alone; grids where nothing else is known."""
    level, parent = getattr(plan, "level", "grid"), getattr(plan, "parent_level", "community")
    return Words(word_of(level), word_of(parent))


def word_of(level: str) -> str:
    """Word for an area of a level."""
    return KNOWN.get(level, f"{level} area")


def parents_of(plan: Any) -> gpd.GeoDataFrame | None:
    """Grids, or areas of another level, that the areas of a plan lie in; None for communities."""
    whole = getattr(plan, "whole", None)
    if whole is None or plan.parent_level == "community":
        return None
    parents: gpd.GeoDataFrame = (
        whole.grids if plan.parent_level == "grid" else whole.at_level(plan.parent_level).grids
    )
    return parents
