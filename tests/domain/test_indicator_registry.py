"""The registry: consistent entries, and everything that derives from them."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import pytest

from market_assets.domain.indicators import (
    ALL,
    REGISTRY,
    ascending_columns,
    carry_columns,
    lookback_bars,
    markdown_table,
    output_columns,
    outputs,
    registry,
)
from market_assets.errors import InputError

DOCS = Path(__file__).parents[2] / "docs"


def test_every_indicator_that_users_were_promised_is_there() -> None:
    names = {column.name for column in output_columns()}
    assert names >= {
        "return_1", "return_5", "return_21", "return_252", "high_252", "low_252", "drawdown_252", "momentum_12_1",
        "proximity_252", "drawdown_duration", "sma_20", "sma_50", "sma_200", "ema_12", "ema_26", "macd", "macd_signal",
        "macd_histogram", "adx_14", "plus_di_14", "minus_di_14", "rsi_14", "stochastic_k", "stochastic_d", "cci_20",
        "williams_r_14", "ultimate_oscillator", "aroon_up_25", "aroon_down_25", "aroon_oscillator_25", "trix_15",
        "bollinger_upper", "bollinger_middle", "bollinger_lower", "bollinger_percent_b", "bollinger_bandwidth",
        "atr_14", "natr_14", "volatility_20", "volatility_60", "parkinson_20", "garman_klass_20", "yang_zhang_20",
        "obv", "mfi_14", "vwap_20", "volume_ratio_20", "cmf_20", "ad_line", "force_index_13", "keltner_upper",
        "keltner_middle", "keltner_lower", "donchian_upper", "donchian_middle", "donchian_lower",
        "ichimoku_conversion", "ichimoku_base", "ichimoku_span_a", "ichimoku_span_b", "psar", "supertrend",
        "realised_skewness_60", "realised_kurtosis_60", "beta_252", "correlation_252", "amihud_21",
    }  # fmt: skip
    assert tuple(REGISTRY) == ALL


@pytest.mark.parametrize("name", REGISTRY)
def test_an_entry_describes_itself(name: str) -> None:
    entry = REGISTRY[name]
    assert entry.formula
    assert entry.source
    for output in entry.outputs:
        assert re.fullmatch(r"[a-z][a-z0-9_]*", output.name)
        assert output.unit
        assert output.description.endswith(".")
        low, high = output.bounds
        assert low is None or high is None or low < high


def test_states_are_carried_and_never_null_after_the_warm_up() -> None:
    carried = set(carry_columns(REGISTRY))
    for output in outputs(REGISTRY):
        assert not output.state or output.name in carried
        assert not (output.name in carried and output.null_when)


def test_columns_carry_unit_bounds_and_description() -> None:
    columns = {column.name: column for column in output_columns()}
    assert columns["rsi_14"] == (
        "rsi_14",
        "percent",
        (0.0, 100.0),
        "Relative strength index over 14 sessions.",
    )


def test_the_lookback_is_the_longest_warm_up_and_at_least_the_carried_bar() -> None:
    assert lookback_bars(["return_252"]) == 252
    assert lookback_bars(["macd"]) == 33
    assert lookback_bars(["obv"]) == 1
    assert lookback_bars(["atr_14", "obv"]) == 14
    assert lookback_bars() == lookback_bars(ALL) == 252


def test_carry_columns_are_those_of_the_selected_indicators() -> None:
    assert carry_columns(["sma_20"]) == ()
    assert carry_columns(["natr_14"]) == ("atr_14",)
    assert carry_columns(["macd"]) == ("ema_12", "ema_26", "macd_signal")


def test_bands_are_declared_in_order() -> None:
    assert ("bollinger_lower", "bollinger_middle", "bollinger_upper") in ascending_columns()


def test_unknown_names_are_refused_with_the_known_ones() -> None:
    with pytest.raises(InputError, match=r"\['rsi_15'\]; choose from return_1, return_5"):
        lookback_bars(["rsi_15", "rsi_14"])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"inputs": ("price",)}, "inputs must be among"),
        ({"inputs": ()}, "inputs must be among"),
        ({"kind": "recursive"}, "a recursive indicator with carry"),
        ({"carry": ("obv",)}, r"a window indicator with carry \('obv',\)"),
        ({"ascending": ("sma_21",)}, r"ascending names no output of it: \['sma_21'\]"),
    ],
)
def test_an_entry_that_contradicts_itself_is_refused(change: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=f"indicator sma_20: .*{message}"):
        replace(REGISTRY["sma_20"], **change)


def test_the_registry_refuses_clashing_or_dangling_names() -> None:
    sma, atr = REGISTRY["sma_20"], REGISTRY["natr_14"]
    with pytest.raises(ValueError, match="two indicators are named sma_20"):
        registry.catalogue([sma], [replace(sma, outputs=())])
    with pytest.raises(ValueError, match="sma_20 and other both produce sma_20"):
        registry.catalogue([sma, replace(sma, name="other")])
    with pytest.raises(ValueError, match=r"natr_14 carries \['atr_14'\], which no indicator produces"):
        registry.catalogue([atr])
    optional = replace(atr, carry=("natr_14",), outputs=(replace(atr.outputs[0], null_when="no range"),))
    with pytest.raises(ValueError, match=r"natr_14 carries \['natr_14'\], which may be null"):
        registry.catalogue([optional])


def test_the_documentation_shows_the_registry() -> None:
    """After a change of the registry, replace the part between the markers with `markdown_table(REGISTRY)`."""
    pages = [page for page in DOCS.glob("methodology*.md") if "<!-- indicators: begin -->" in page.read_text()]
    assert len(pages) == 1
    text = pages[0].read_text().partition("<!-- indicators: begin -->\n")[2].partition("<!-- indicators: end -->")[0]
    assert text == markdown_table(REGISTRY)
