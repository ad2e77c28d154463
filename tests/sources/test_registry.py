"""Sources are built from configuration by kind; what is not used is not imported."""

from __future__ import annotations

import datetime as dt
import subprocess
import sys
from pathlib import Path

import pytest

from market_assets.errors import ConfigError
from market_assets.sources import KINDS, SourceContext, build_source, parse_options
from market_assets.sources.options import SourceOptions, calendar_sessions
from market_assets.sources.sample import SampleOptions, SampleSource


def test_builds_a_source_by_kind_under_the_given_name() -> None:
    assert isinstance(build_source("sample"), SampleSource)
    assert build_source("sample").name == "sample"
    assert build_source("sample", "history", SampleOptions()).name == "history"


def test_every_kind_has_options_that_refuse_unknown_keys() -> None:
    for kind in KINDS:
        with pytest.raises(ConfigError) as caught:
            parse_options(kind, {"no_such_key": 1}, file="market.yaml", key=f"sources.{kind}")
        assert caught.value.file == "market.yaml"
        assert caught.value.key.startswith(f"sources.{kind}")


def test_an_unknown_kind_is_refused_with_the_known_ones() -> None:
    with pytest.raises(ConfigError, match=f"Allowed: {', '.join(KINDS)}") as caught:
        build_source("bloomberg", file="market.yaml", key="sources.2")
    assert (caught.value.key, caught.value.value) == ("sources.2.kind", "bloomberg")


def test_an_unknown_key_is_refused_with_the_known_ones() -> None:
    with pytest.raises(ConfigError, match="unknown key") as caught:
        parse_options("files", {"path": "x", "file_name": "{symbol}.csv"}, file="market.yaml", key="sources.1")
    assert caught.value.key == "sources.1.path"
    assert "folder" in caught.value.allowed


def test_options_are_frozen() -> None:
    options = parse_options("sample", {})
    assert isinstance(options, SourceOptions)
    with pytest.raises(ValueError, match="frozen"):
        options.anything = 1  # type: ignore[attr-defined] - the point of the test


def test_importing_the_package_loads_no_vendor_library() -> None:
    program = (
        "import sys, market_assets.sources; "
        "print([m for m in ('yfinance', 'pyarrow.csv', 'exchange_calendars') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_relative_paths_start_at_the_base_folder(tmp_path: Path) -> None:
    context = SourceContext(base_dir=tmp_path)
    assert context.resolve(Path("data")) == tmp_path / "data"
    assert context.resolve(Path("/data")) == Path("/data")


def test_default_sessions_are_those_of_the_exchange() -> None:
    sessions = calendar_sessions("XNAS", dt.date(2020, 6, 29), dt.date(2020, 7, 7))
    assert sessions.strftime("%m-%d").tolist() == ["06-29", "06-30", "07-01", "07-02", "07-06", "07-07"]


def test_default_clock_has_a_zone() -> None:
    assert SourceContext().now().tzinfo is not None
