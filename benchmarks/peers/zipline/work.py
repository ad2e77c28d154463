"""zipline-reloaded: ingest of a csvdir bundle. Arguments: folder of files, work folder, -, sessions."""

import os
import sys
import time
from pathlib import Path

import pandas as pd

vendor, work, _, count = sys.argv[1:]
os.environ["ZIPLINE_ROOT"] = work

from zipline.data.bundles import csvdir, ingest, register  # noqa: E402 - the variable is read on import
from zipline.utils.calendar_utils import get_calendar  # noqa: E402

daily = Path(work) / "daily"
daily.mkdir()
bars = {
    file.name.removesuffix("_data.csv"): pd.read_csv(file, parse_dates=["date"], index_col="date")
    for file in sorted(Path(vendor).glob("*.csv"))
}
first, last = min(frame.index[0] for frame in bars.values()), max(frame.index[-1] for frame in bars.values())
sessions = get_calendar("XNYS").sessions_in_range(first, last)[: int(count)]
for symbol, frame in bars.items():
    # A bundle refuses a symbol with a gap.
    own = sessions[(sessions >= frame.index[0]) & (sessions <= frame.index[-1])]
    filled = frame.reindex(own).ffill().bfill()[["open", "high", "low", "close", "volume"]]
    if len(filled):
        # It takes what follows the first dot of a file's name for its ending.
        name = symbol.replace(".", "-")
        filled.assign(dividend=0.0, split=1.0).to_csv(daily / f"{name}.csv", index_label="date")

register("bench", csvdir.csvdir_equities(["daily"], work), calendar_name="XNYS", start_session=first, end_session=last)
started = time.perf_counter()
ingest("bench", show_progress=False)
print(time.perf_counter() - started)
