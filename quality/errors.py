"""What can go wrong in this package. A check that fails is no error: it is a result.

QualityError
├── SuiteError         a suite or a check that contradicts itself; found when it is built, never in a run
├── ScopeError         a run asks for partitions that cannot be read as sessions
└── QuarantineError    a quarantined row that does not exist or cannot be resolved as asked
"""

from __future__ import annotations


class QualityError(Exception):
    """Base of every error this package raises on purpose."""


class SuiteError(QualityError):
    """A suite or check is declared in a way that cannot work."""


class ScopeError(QualityError):
    """The partitions of a run are not sessions."""


class QuarantineError(QualityError):
    """A quarantined row is missing, or its status does not allow what was asked."""
