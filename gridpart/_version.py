"""The version, read by the build and recorded in every plan."""

__version__ = "0.1.0"
