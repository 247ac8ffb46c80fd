"""The audit of any zone layer: findings with geometry."""

from gridpart.coverage.audit import audit, audit_counts, audit_ok
from gridpart.coverage.catalogue import CATALOGUE, Check

__all__ = ["CATALOGUE", "Check", "audit", "audit_counts", "audit_ok"]
