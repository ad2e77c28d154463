"""What urllib3 logs, whatever the libraries that configure logging have made of its loggers earlier in the process."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager

import pytest


@contextmanager
def everything_logged(caplog: pytest.LogCaptureFixture, name: str = "urllib3.connectionpool") -> Iterator[None]:
    """Within the block every record of logger `name` that its filters let pass reaches `caplog`, once."""
    logger = logging.getLogger(name)
    before = logger.disabled, logger.propagate, logger.level
    logger.disabled, logger.propagate = False, False
    logger.setLevel(logging.DEBUG)
    logger.addHandler(caplog.handler)
    try:
        yield
    finally:
        logger.removeHandler(caplog.handler)
        logger.disabled, logger.propagate, level = before
        logger.setLevel(level)
