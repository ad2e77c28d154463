"""ArcticDB: one frame per symbol, written and read. Arguments: folder of files, work folder, -, sessions."""

import sys
import time
from pathlib import Path

import arcticdb
import pandas as pd

vendor, work, _, count = sys.argv[1:]
started = time.perf_counter()
library = arcticdb.Arctic(f"lmdb://{work}").get_library("bars", create_if_missing=True)
names = []
for file in sorted(Path(vendor).glob("*.csv")):
    frame = pd.read_csv(file, parse_dates=["date"], index_col="date")[: int(count)]
    names.append(file.name.removesuffix("_data.csv"))
    library.write(names[-1], frame.drop(columns="Name"))
rows = sum(len(library.read(name).data) for name in names)
elapsed = time.perf_counter() - started
if not rows:
    raise SystemExit("nothing was written")
print(elapsed)
