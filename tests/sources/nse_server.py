"""A stand-in that speaks the protocol of the NSE's archive; headers of both file layouts are the exchange's own."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import SplitResult

import pandas as pd
from vendor_stand_in import Asked, Reply, StandIn

LEGACY = "SYMBOL,SERIES,OPEN,HIGH,LOW,CLOSE,LAST,PREVCLOSE,TOTTRDQTY,TOTTRDVAL,TIMESTAMP,TOTALTRADES,ISIN,"
UDIFF = (
    "TradDt,BizDt,Sgmt,Src,FinInstrmTp,FinInstrmId,ISIN,TckrSymb,SctySrs,XpryDt,FininstrmActlXpryDt,StrkPric,OptnTp,"
    "FinInstrmNm,OpnPric,HghPric,LwPric,ClsPric,LastPric,PrvsClsgPric,UndrlygPric,SttlmPric,OpnIntrst,ChngInOpnIntrst,"
    "TtlTradgVol,TtlTrfVal,TtlNbOfTxsExctd,SsnId,NewBrdLotQty,Rmks,Rsvd1,Rsvd2,Rsvd3,Rsvd4"
)


@dataclass
class Traded:
    """A row of the NSE's file: symbol, series, five values."""

    symbol: str
    series: str
    values: tuple[float, float, float, float, int]


class NseServer(StandIn):
    """https://nsearchives.nseindia.com: one zipped CSV a session, 404 where there is none."""

    def __init__(self, days: Mapping[str, list[Traded]]) -> None:
        """Args: ISO date -> rows of its file."""
        super().__init__()
        self.days = days

    def endpoint_of(self, url: SplitResult) -> str:
        return "udiff" if url.path.startswith("/content/cm/") else "legacy"

    def reply(self, asked: Asked, fault: str) -> Reply:
        if not asked.headers.get("User-Agent", "").startswith("Mozilla/"):
            return Reply.text("Access Denied", 403)
        name = asked.path.rsplit("/", 1)[1]
        stamp = name.split("_")[6] if asked.endpoint == "udiff" else name[2:11]
        day = pd.to_datetime(stamp, format="%Y%m%d" if asked.endpoint == "udiff" else "%d%b%Y")
        served = (asked.endpoint == "udiff") == (day >= pd.Timestamp("2024-07-08"))
        if f"{day:%Y-%m-%d}" not in self.days or not served:
            return Reply(404, b"<html><title>404 - Page not found</title></html>")
        rows = [] if fault == "no_rows" else self.days[f"{day:%Y-%m-%d}"]
        day += pd.Timedelta(days=int(fault == "wrong_day"))
        write = _udiff if asked.endpoint == "udiff" else _legacy
        text = write(day, rows) if fault != "wrong_shape" else "A,B\n1,2\n"
        body = io.BytesIO()
        with zipfile.ZipFile(body, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr(name.removesuffix(".zip"), text)
        return Reply(200, body.getvalue(), {"Content-Type": "application/zip"})


def _legacy(day: pd.Timestamp, rows: list[Traded]) -> str:
    lines = [
        f"{row.symbol},{row.series},{','.join(f'{value:.2f}' for value in row.values[:4])},{row.values[3]:.2f},1.00,"
        f"{row.values[4]},1.00,{f'{day:%d-%b-%Y}'.upper()},9,INE002A01018,"
        for row in rows
    ]
    return "\n".join([LEGACY, *lines]) + "\n"


def _udiff(day: pd.Timestamp, rows: list[Traded]) -> str:
    lines = [
        f"{day:%Y-%m-%d},{day:%Y-%m-%d},CM,NSE,STK,2885,INE002A01018,{row.symbol},{row.series},,,,,{row.symbol} LTD,"
        f"{','.join(f'{value:.2f}' for value in row.values[:4])},{row.values[3]:.2f},1.00,,1.00,,,{row.values[4]},1.00,"
        "9,F1,1,,,,,"
        for row in rows
    ]
    return "\n".join([UDIFF, *lines]) + "\n"
