"""A vendor's key: where it comes from, how it travels, and that nobody reads it in a message or a log.

Belongs here: the key and the masking of it. Does not belong here: requests (`http.py`). Keys come from the environment
or a file that it names, never from market.yaml.
"""

from __future__ import annotations

import logging
from collections.abc import Collection
from dataclasses import dataclass
from typing import Final
from urllib.parse import quote

from pydantic import SecretStr

from market_assets.errors import ConfigError
from market_assets.settings import secret

HIDDEN: Final = "***"


@dataclass(frozen=True)
class ApiKey:
    """A vendor's key, and where it goes. Masked in repr.

    Attributes:
        value: the key.
        variable: environment variable it came from, for messages.
        parameter: query parameter that carries it, empty when a header does.
        header: header that carries it, and its value with {} for the key.
    """

    value: SecretStr
    variable: str
    parameter: str = ""
    header: tuple[str, str] | None = None

    @classmethod
    def of(cls, variable: str, *, parameter: str = "", header: tuple[str, str] | None = None) -> ApiKey:
        """The key in environment variable `variable`, or in the file that `<variable>_FILE` names.

        Raises:
            ConfigError: neither is set, or the file cannot be read.
        """
        value = secret(variable)
        if value is None or not value.get_secret_value():
            raise ConfigError(
                "the key of a configured source is not set",
                file="environment",
                key=variable,
                allowed=f"the vendor's key in {variable}, or a file that holds it in {variable}_FILE",
            )
        return cls(value, variable, parameter, header)

    @property
    def plain(self) -> str:
        """The key itself."""
        return self.value.get_secret_value()

    @property
    def spellings(self) -> frozenset[str]:
        """The key as it may stand in an address or a text."""
        return frozenset({self.plain, quote(self.plain, safe="")})


def redacted(text: str, secrets: Collection[str]) -> str:
    """`text` with each secret masked; longest first, as one may be part of another."""
    for value in sorted(secrets, key=len, reverse=True):
        if value:
            text = text.replace(value, HIDDEN)
    return text


def keep_out_of_logs(secrets: Collection[str]) -> None:
    """Mask `secrets` in the logs of urllib3, which show addresses with their query at level DEBUG."""
    _redaction.secrets |= set(secrets)
    for name in ("urllib3.connectionpool", "urllib3.util.retry"):
        logger = logging.getLogger(name)
        if _redaction not in logger.filters:
            logger.addFilter(_redaction)


class _Redaction(logging.Filter):
    """urllib3 logs each address with its query: keys are taken out of its records before any handler sees them."""

    def __init__(self) -> None:
        super().__init__()
        self.secrets: set[str] = set()

    def filter(self, record: logging.LogRecord) -> bool:
        message = record.getMessage()
        if any(value in message for value in self.secrets):
            record.msg, record.args = redacted(message, self.secrets), ()
        return True


_redaction: Final = _Redaction()
