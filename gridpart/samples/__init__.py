"""Synthetic places, seeded; and the sample that comes with the package."""

from gridpart.samples.town import Town, county_town, load_sample, sample_path

__all__ = ["Town", "county_town", "load_sample", "sample_path"]
