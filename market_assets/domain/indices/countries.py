"""The country of an exchange: where the dividends of its companies are taxed unless somebody knows better.

ISO 10383 names the country of each market identifier code; ours are those that exchange_calendars has too.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

_EXCHANGES: Final = """
    ASEX=GR BATS=US BVMF=BR XAMS=NL XASE=US XASX=AU XBKK=TH XBOG=CO XBOM=IN XBRU=BE XBSE=RO XBUD=HU XBUE=AR
    XCSE=DK XDUB=IE XETR=DE XFRA=DE XHEL=FI XHKG=HK XICE=IS XIDX=ID XIST=TR XJSE=ZA XKAR=PK XKLS=MY XKRX=KR
    XLIM=PE XLIS=PT XLIT=LT XLJU=SI XLON=GB XMAD=ES XMEX=MX XMIL=IT XMOS=RU XNAS=US XNYS=US XNZE=NZ XOSL=NO
    XPAR=FR XPHS=PH XPRA=CZ XRIS=LV XSAU=SA XSES=SG XSGO=CL XSHG=CN XSTO=SE XSWX=CH XTAE=IL XTAI=TW XTAL=EE
    XTKS=JP XTSE=CA XWAR=PL XWBO=AT
"""

COUNTRY_OF_EXCHANGE: Final[Mapping[str, str]] = MappingProxyType(dict(pair.split("=") for pair in _EXCHANGES.split()))
"""Market identifier code -> ISO 3166 country."""
