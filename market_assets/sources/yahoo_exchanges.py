"""How Yahoo names securities, zones and currencies of each exchange.

Belongs here: facts about Yahoo's naming. Does not belong here: asking for anything (`yahoo_client.py`).
"""

from __future__ import annotations

from typing import Final

EXCHANGES: Final[dict[str, tuple[str, str]]] = {
    "ASEX": (".AT", "Europe/Athens"),
    "BVMF": (".SA", "America/Sao_Paulo"),
    "XAMS": (".AS", "Europe/Amsterdam"),
    "XASX": (".AX", "Australia/Sydney"),
    "XBKK": (".BK", "Asia/Bangkok"),
    "XBOM": (".BO", "Asia/Kolkata"),
    "XBRU": (".BR", "Europe/Brussels"),
    "XBUD": (".BD", "Europe/Budapest"),
    "XBUE": (".BA", "America/Argentina/Buenos_Aires"),
    "XCSE": (".CO", "Europe/Copenhagen"),
    "XDUB": (".IR", "Europe/Dublin"),
    "XETR": (".DE", "Europe/Berlin"),
    "XFRA": (".F", "Europe/Berlin"),
    "XHEL": (".HE", "Europe/Helsinki"),
    "XHKG": (".HK", "Asia/Hong_Kong"),
    "XIDX": (".JK", "Asia/Jakarta"),
    "XIST": (".IS", "Europe/Istanbul"),
    "XJSE": (".JO", "Africa/Johannesburg"),
    "XKLS": (".KL", "Asia/Kuala_Lumpur"),
    "XKRX": (".KS", "Asia/Seoul"),
    "XLIS": (".LS", "Europe/Lisbon"),
    "XLON": (".L", "Europe/London"),
    "XMAD": (".MC", "Europe/Madrid"),
    "XMEX": (".MX", "America/Mexico_City"),
    "XMIL": (".MI", "Europe/Rome"),
    "XNAS": ("", "America/New_York"),
    "XNYS": ("", "America/New_York"),
    "XNZE": (".NZ", "Pacific/Auckland"),
    "XOSL": (".OL", "Europe/Oslo"),
    "XPAR": (".PA", "Europe/Paris"),
    "XPRA": (".PR", "Europe/Prague"),
    "XSES": (".SI", "Asia/Singapore"),
    "XSGO": (".SN", "America/Santiago"),
    "XSHG": (".SS", "Asia/Shanghai"),
    "XSTO": (".ST", "Europe/Stockholm"),
    "XSWX": (".SW", "Europe/Zurich"),
    "XTAE": (".TA", "Asia/Jerusalem"),
    "XTAI": (".TW", "Asia/Taipei"),
    "XTKS": (".T", "Asia/Tokyo"),
    "XTSE": (".TO", "America/Toronto"),
    "XWAR": (".WA", "Europe/Warsaw"),
    "XWBO": (".VI", "Europe/Vienna"),
}
"""Exchange -> suffix of its symbols at Yahoo, and the zone in which Yahoo dates its bars."""

MINOR_UNITS: Final[dict[str, tuple[str, float]]] = {
    "GBp": ("GBP", 0.01),
    "GBX": ("GBP", 0.01),
    "ILA": ("ILS", 0.01),
    "ZAc": ("ZAR", 0.01),
}
"""Quotation unit -> currency, and how much of it one unit is. London quotes in pence, Johannesburg in cents, Tel Aviv
in agorot; the platform stores the currency."""


def yahoo_symbol(symbol: str, exchange: str) -> str:
    """Yahoo's name of a security: share classes with a hyphen, then the suffix of the exchange (BT.A -> BT-A.L)."""
    suffix, _ = EXCHANGES[exchange]
    base = symbol[: -len(suffix)] if suffix and symbol.endswith(suffix) else symbol
    return base.replace(".", "-") + suffix


def major_currency(unit: str) -> tuple[str, float]:
    """Currency of a quotation unit, and what a price in that unit is multiplied by."""
    return MINOR_UNITS.get(unit, (unit, 1.0))
