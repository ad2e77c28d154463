"""market.yaml: what is accepted, what overrides it, and how each mistake is named with file, key, value and remedy."""

from __future__ import annotations

import re
from datetime import date
from pathlib import Path
from typing import Any

import pytest
import yaml
from pydantic import ValidationError

from market_assets.config import HttpTransport, MarketConfig, load_config
from market_assets.errors import ConfigError
from quality.suites.price_bar import PriceBarThresholds

ROOT = Path(__file__).resolve().parents[1]
MINIMAL: dict[str, Any] = {"partitions": {"start": date(2024, 1, 2)}, "sources": [{"kind": "sample"}]}


def write(folder: Path, content: object) -> Path:
    file = folder / "market.yaml"
    file.write_text(content if isinstance(content, str) else yaml.safe_dump(content), encoding="utf-8")
    return file


def load(folder: Path, content: object = MINIMAL, **environ: str) -> MarketConfig:
    return load_config(write(folder, content), environ)


def changed(path: str, value: object) -> dict[str, Any]:
    """MINIMAL with the value at a dotted path replaced."""
    content: dict[str, Any] = yaml.safe_load(yaml.safe_dump(MINIMAL))
    node: Any = content
    *parents, last = [int(part) if part.isdigit() else part for part in path.split(".")]
    for part in parents:
        node = node[part] if isinstance(part, int) else node.setdefault(part, {})
    node[last] = value
    return content


def test_the_file_of_the_project_is_accepted():
    config = load_config(ROOT / "config" / "market.yaml", {})
    assert config.partitions.start == date(2000, 3, 1)
    assert [source.label for source in config.sources] == ["sample"]
    assert config.indices[0]["id"] == "SAMPLE_EW"


def test_a_minimal_file_has_the_documented_defaults(tmp_path):
    config = load(tmp_path)
    assert config.partitions.end is None
    assert config.partitions.timezone == "Europe/Athens"
    assert config.calendars.settle_minutes == 45
    assert config.indices == ()
    assert config.lineage.transport.kind == "file"
    assert config.beside(config.universe) == tmp_path / "universe.csv"


def test_an_absolute_path_stays_where_it_is(tmp_path):
    config = load(tmp_path, changed("universe", "/data/universe.csv"))
    assert config.beside(config.universe) == Path("/data/universe.csv")


def test_values_never_change_afterwards(tmp_path):
    with pytest.raises(ValidationError, match="frozen"):
        load(tmp_path).partitions.start = date(2000, 1, 1)  # type: ignore[misc]  # that is the point


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        ("partitions.start", "soon", "partitions.start: Input should be a valid date"),
        ("partitions.end", date(2023, 1, 1), "partitions: end 2023-01-01 is before start 2024-01-02"),
        ("partitions.begin", date(2024, 1, 2), "partitions.begin: unknown key"),
        ("calendars.settle_minutes", -1, "calendars.settle_minutes: Input should be greater than or equal to 0"),
        ("calendars.settle_minutes", 721, "calendars.settle_minutes: Input should be less than or equal to 720"),
        ("ingest.chunk_symbols", 0, "ingest.chunk_symbols: Input should be greater than or equal to 1"),
        ("sources", [], "sources: Tuple should have at least 1 item"),
        ("sources.0.kind", "bloomberg", "sources.0.kind: unknown kind of source"),
        ("sources.0.name", "My Source", "sources.0.name: String should match pattern"),
        ("sources.0.options", {"speed": 1}, "sources.0.options.speed: unknown key"),
        ("sources.0.colour", "red", "sources.0.colour: unknown key"),
        ("indices", [{"id": "X"}], "indices.0.base_date: is required"),
        (
            "indices",
            [{"id": "X", "base_date": date(2024, 1, 2), "weighting": "random"}],
            "indices.0.weighting.kind: unknown value",
        ),
        ("indices", [{"id": "X", "base_date": date(2024, 1, 2)}] * 2, "indices.1.id: two indices have this id"),
        ("indicators.benchmark", "X", "indicators.benchmark: no such index"),
        ("quality.price_bar", {"max_move": 1}, "quality.price_bar.max_move: unknown key"),
        ("quality.price_bar", {"max_daily_move": "big"}, "quality.price_bar.max_daily_move: Input should be a valid"),
        ("quality.price_bar", {"stale_share": 2}, "quality.price_bar: price bars: stale_share is a share in (0, 1]"),
        ("quality.bars", {}, "quality.bars: unknown key"),
        ("lineage.transport", {"kind": "carrier_pigeon"}, "lineage.transport: Input tag 'carrier_pigeon'"),
        ("lineage.transport", {"kind": "http"}, "lineage.transport.url: Field required"),
        (
            "lineage.transport",
            {"kind": "http", "url": "marquez:5000"},
            "lineage.transport.url: String should match pattern",
        ),
        ("lineage.namespace", "", "lineage.namespace: String should have at least 1 character"),
        ("file", "x.yaml", "file: unknown key"),
        ("speling", True, "speling: unknown key"),
    ],
)
def test_a_mistake_is_named_with_file_and_key(tmp_path, path, value, message):
    with pytest.raises(ConfigError) as caught:
        load(tmp_path, changed(path, value))
    assert str(caught.value).startswith(f"{tmp_path / 'market.yaml'}: {message}")


@pytest.mark.parametrize(
    ("path", "value", "shown", "allowed"),
    [
        ("partitions.begin", 1, "found 1", "start, end, timezone"),
        (
            "speling",
            True,
            "found True",
            "partitions, universe, reference, calendars, sources, ingest, backfill, indices, indicators, quality",
        ),
        ("quality.price_bar", {"max_move": 1}, "unknown key", "completeness_critical, completeness_warning"),
        ("calendars.settle_minutes", -1, "found -1", "greater than or equal to 0"),
        ("sources.0.kind", "bloomberg", "found 'bloomberg'", "sample, files, synthetic, yahoo"),
    ],
)
def test_a_mistake_shows_what_was_found_and_what_is_allowed(tmp_path, path, value, shown, allowed):
    with pytest.raises(ConfigError) as caught:
        load(tmp_path, changed(path, value))
    assert shown in str(caught.value)
    assert allowed in str(caught.value)


def test_sources_of_one_kind_need_names_of_their_own(tmp_path):
    content = {**MINIMAL, "sources": [{"kind": "sample"}, {"kind": "sample"}]}
    with pytest.raises(ConfigError, match="sources share the name sample; give each its own `name`"):
        load(tmp_path, content)
    named = {**MINIMAL, "sources": [{"kind": "sample"}, {"kind": "sample", "name": "sample_again"}]}
    assert [source.label for source in load(tmp_path, named).sources] == ["sample", "sample_again"]


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(ConfigError, match=r"missing.yaml: cannot read the configuration: No such file"):
        load_config(tmp_path / "missing.yaml", {})


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: [1", "not valid YAML"),
        ("- 1\n- 2", "must be a mapping"),
        ("", "must be a mapping"),
        ("{}", "partitions: Field required"),
    ],
)
def test_a_file_of_another_shape_is_refused(tmp_path, text, message):
    with pytest.raises(ConfigError, match=message):
        load(tmp_path, text)


def test_a_file_in_another_encoding_is_refused(tmp_path):
    (tmp_path / "market.yaml").write_bytes("universe: é.csv".encode("latin-1"))
    with pytest.raises(ConfigError, match="not UTF-8 at byte 10"):
        load_config(tmp_path / "market.yaml", {})


def test_the_file_is_found_through_the_environment(tmp_path, monkeypatch):
    monkeypatch.setenv("MARKET_CONFIG", str(write(tmp_path, MINIMAL)))
    assert load_config(environ={}).file == tmp_path / "market.yaml"


# Overrides ----------------------------------------------------------------------------------------------------------


def test_a_variable_overrides_a_value_and_is_read_as_yaml(tmp_path):
    config = load(
        tmp_path,
        MARKET_PARTITIONS__END="2024-12-31",
        MARKET_CALENDARS__SETTLE_MINUTES="10",
        MARKET_LINEAGE__TRANSPORT__KIND="http",
        MARKET_LINEAGE__TRANSPORT__URL="http://marquez:5000",
        MARKET_QUALITY__PRICE_BAR__MAX_DAILY_MOVE="0.25",
    )
    assert config.partitions.end == date(2024, 12, 31)
    assert config.calendars.settle_minutes == 10
    assert config.lineage.transport == HttpTransport(kind="http", url="http://marquez:5000")
    assert config.thresholds("price_bar", PriceBarThresholds).max_daily_move == 0.25


def test_a_variable_can_take_a_value_away(tmp_path):
    assert (
        load(tmp_path, changed("partitions.end", date(2024, 6, 28)), MARKET_PARTITIONS__END="null").partitions.end
        is None
    )


def test_another_kind_leaves_behind_what_the_file_says_of_its_own(tmp_path):
    content = changed("lineage.transport", {"kind": "file", "path": "events.jsonl"})
    content["sources"] = [{"kind": "files", "name": "main", "options": {"folder": "a"}}]
    config = load(
        tmp_path,
        content,
        MARKET_LINEAGE__TRANSPORT__URL="http://marquez:5000",
        MARKET_LINEAGE__TRANSPORT__KIND="http",
        MARKET_SOURCES__0__KIND="sample",
    )
    assert config.lineage.transport == HttpTransport(kind="http", url="http://marquez:5000")
    assert config.sources[0].model_dump(include={"kind", "name", "options"}) == {
        "kind": "sample",
        "name": "main",
        "options": {},
    }
    same = load(tmp_path, content, MARKET_LINEAGE__TRANSPORT__KIND="file", MARKET_SOURCES__0__KIND="sample")
    assert str(getattr(same.lineage.transport, "path", "")) == "events.jsonl"


def test_variables_without_a_double_underscore_and_of_others_are_no_overrides(tmp_path):
    assert load(tmp_path, MARKET_HOME="/x", MARKET_DATABASE_URL="y", OTHER__KEY="z").partitions.end is None


def test_a_mistake_in_a_variable_names_the_variable(tmp_path):
    with pytest.raises(ConfigError, match=r"environment MARKET_PARTITIONS__START: partitions.start: .*valid date"):
        load(tmp_path, MARKET_PARTITIONS__START="soon")
    with pytest.raises(ConfigError, match=r"environment MARKET_PARTITIONS__BEGIN: partitions.begin: unknown key"):
        load(tmp_path, MARKET_PARTITIONS__BEGIN="2024-01-02")


def test_a_variable_cannot_reach_into_a_value(tmp_path):
    with pytest.raises(ConfigError, match="MARKET_UNIVERSE__FILE: overrides a value that is not a section"):
        load(tmp_path, changed("universe", "u.csv"), MARKET_UNIVERSE__FILE="x")


def test_a_variable_that_is_not_yaml_is_named(tmp_path):
    with pytest.raises(ConfigError, match=r"environment: MARKET_PARTITIONS__END: not valid YAML"):
        load(tmp_path, MARKET_PARTITIONS__END="[2024")


def test_a_variable_reaches_into_a_list_by_position(tmp_path):
    files = {"kind": "files", "options": {"folder": "a", "file_name": "{symbol}.csv", "basis": "adjusted"}}
    content = {**MINIMAL, "sources": [{"kind": "sample"}, files]}
    config = load(
        tmp_path, content, MARKET_SOURCES__1__OPTIONS__FOLDER="/data", MARKET_SOURCES__1__OPTIONS__CURRENCY="EUR"
    )
    assert config.sources[1].options == {**files["options"], "folder": "/data", "currency": "EUR"}
    assert load(tmp_path, content, MARKET_SOURCES__1="{kind: yahoo}").sources[1].kind == "yahoo"


@pytest.mark.parametrize("variable", ["MARKET_SOURCES__1__KIND", "MARKET_SOURCES__FIRST__KIND", "MARKET_SOURCES__"])
def test_a_variable_that_names_no_entry_of_a_list_is_refused(tmp_path, variable):
    with pytest.raises(ConfigError, match=f"environment: {variable}: no such entry of the list .*Allowed: 0 to 0"):
        load(tmp_path, **{variable: "yahoo"})


def test_a_variable_fills_a_section_that_the_file_leaves_empty(tmp_path):
    config = load(tmp_path, changed("calendars", None), MARKET_CALENDARS__SETTLE_MINUTES="5")
    assert config.calendars.settle_minutes == 5


# What follows from the values ---------------------------------------------------------------------------------------


def test_thresholds_start_from_the_defaults_of_the_suite(tmp_path):
    config = load(tmp_path, changed("quality.price_bar", {"max_daily_move": 0.3}))
    assert config.thresholds("price_bar", PriceBarThresholds) == PriceBarThresholds(max_daily_move=0.3)


def test_the_lineage_file_is_below_the_home_and_only_there_for_the_file_transport(tmp_path, monkeypatch):
    monkeypatch.setenv("MARKET_HOME", str(tmp_path / "home"))
    assert load(tmp_path).lineage_file == tmp_path / "home" / "lineage" / "events.jsonl"
    assert load(tmp_path, changed("lineage.transport", {"kind": "none"})).lineage_file is None


def test_the_alert_webhook_is_a_secret_of_the_environment(tmp_path, monkeypatch):
    monkeypatch.delenv("MARKET_ALERT_WEBHOOK", raising=False)
    assert load(tmp_path).alert_webhook is None
    (tmp_path / "webhook").write_text("https://hooks.example.com/T0/B0/secret\n")
    monkeypatch.setenv("MARKET_ALERT_WEBHOOK_FILE", str(tmp_path / "webhook"))
    config = load(tmp_path)
    assert config.alert_webhook is not None
    assert config.alert_webhook.get_secret_value() == "https://hooks.example.com/T0/B0/secret"
    assert "secret" not in repr(config.alert_webhook)


def test_secrets_have_no_place_in_the_file(tmp_path):
    with pytest.raises(ConfigError, match=r"lineage.transport.api_key: unknown key"):
        load(tmp_path, changed("lineage.transport", {"kind": "http", "url": "http://m", "api_key": "s3cret"}))


# Chains of sources ---------------------------------------------------------------------------------------------------

TWO_SOURCES = [{"kind": "sample", "name": "first"}, {"kind": "sample", "name": "second"}]


def test_without_chains_all_sources_are_asked_in_order(tmp_path):
    config = load(tmp_path, {**MINIMAL, "sources": TWO_SOURCES})
    chain = config.ingest.chain("XNYS", ["first", "second"])
    assert (chain.sources, chain.cross_check) == (("first", "second"), ())


def test_an_exchange_has_its_own_chain_and_the_others_the_default(tmp_path):
    chains = {"XNYS": {"sources": ["second"], "cross_check": ["first"]}, "default": {"sources": ["first"]}}
    ingest = load(tmp_path, {**MINIMAL, "sources": TWO_SOURCES, "ingest": {"chains": chains}}).ingest
    assert (ingest.chain("XNYS", []).sources, ingest.chain("XNYS", []).cross_check) == (("second",), ("first",))
    assert ingest.chain("XLON", []).sources == ("first",)


@pytest.mark.parametrize(
    ("chains", "message"),
    [
        (
            {"XNYS": {"sources": ["third"]}},
            "ingest.chains.XNYS: no source is named 'third'; the sources are first, second",
        ),
        ({"default": {"sources": ["first"], "cross_check": ["first"]}}, "ingest.chains.default: 'first' stands twice"),
        (
            {"XNYX": {"sources": ["first"]}},
            "ingest.chains.XNYX: unknown exchange. Allowed: default, or an exchange",
        ),
        ({"XNYS": {"sources": []}}, "ingest.chains.XNYS.sources: "),
    ],
)
def test_a_chain_names_configured_sources_and_known_exchanges(tmp_path, chains, message):
    with pytest.raises(ConfigError, match=re.escape(message)):
        load(tmp_path, {**MINIMAL, "sources": TWO_SOURCES, "ingest": {"chains": chains}})
