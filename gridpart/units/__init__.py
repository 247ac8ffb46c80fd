"""The door: read, check, repair and describe units."""

from gridpart.units.check import check_units, describe_units, read_units
from gridpart.units.repair import Repair, repair_units

__all__ = ["Repair", "check_units", "describe_units", "read_units", "repair_units"]
