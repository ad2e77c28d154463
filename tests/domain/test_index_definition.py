"""Definitions: what the configuration may say, and how everything else is refused by key and reason."""

from __future__ import annotations

from datetime import date, datetime
from pathlib import Path

import pytest
import yaml

from market_assets.domain.indices import DefinitionError, IndexDefinition, parse_definition
from market_assets.domain.indices.rules import RebalanceSchedule, Weighting
from market_assets.errors import ConfigError


def parse(**raw: object) -> IndexDefinition:
    return parse_definition({"id": "X", "base_date": "2020-01-02", **raw}, file="market.yaml", key="indices.0")


def test_the_shipped_configuration_defines_its_index() -> None:
    shipped = yaml.safe_load((Path(__file__).parents[2] / "config" / "market.yaml").read_text())
    index = parse_definition(shipped["indices"][0], file="market.yaml", key="indices.0")
    assert (index.id, index.base_date, index.base_value) == ("SAMPLE_EW", date(2000, 3, 1), 1000.0)
    assert index.rebalance == RebalanceSchedule(frequency="quarterly", weekday="friday", nth=3)
    assert index.withholding_tax.default == 0.30
    assert index.weighting.kind == "equal"


def test_defaults() -> None:
    index = parse()
    assert index.name == "X"
    assert index.rebalance.months == (3, 6, 9, 12)
    assert (index.missing_price.limit, index.missing_price.then) == (20, "delete_at_last")
    assert not index.needs_shares_outstanding
    assert index.lookback_sessions == 21


def test_every_part_can_be_given() -> None:
    index = parse(
        name="All of it",
        base_value=50,
        currency="EUR",
        universe={"exchanges": ["XPAR"], "currencies": ["EUR"], "symbols": ["A", "B"]},
        eligibility={
            "minimum_history": 60,
            "minimum_price": 1,
            "median_traded_value": 1e6,
            "traded_value_sessions": 20,
        },
        selection={"kind": "market_cap", "count": 100, "entry": 80, "exit": 120},
        weighting={"kind": "market_cap", "cap": 0.1, "group_threshold": 0.05, "group_limit": 0.4},
        rebalance={
            "frequency": "semi_annual",
            "months": [5, 11],
            "weekday": "monday",
            "nth": -1,
            "reference_offset": 5,
        },
        withholding_tax={"default": 0.15, "by_country": {"FR": 0.25}},
        missing_price={"limit": 5, "then": "refuse"},
        membership_end="next_rebalance",
        fast_entry={"after": 10, "rank": 50},
        spin_offs="reinvest",
        notional=1e9,
        restatement={"open_days": 3},
    )
    assert index.needs_shares_outstanding
    assert index.lookback_sessions == 5 + 60 + 5
    assert index.withholding_tax.by_country == {"FR": 0.25}
    assert hash(index.rebalance) == hash(RebalanceSchedule(**vars(index.rebalance)))


@pytest.mark.parametrize(
    ("raw", "sessions"),
    [
        ({"selection": {"kind": "momentum", "count": 3}}, 253),
        ({"weighting": {"kind": "inverse_volatility", "lookback": 60}}, 61),
        ({"eligibility": {"median_traded_value": 1, "traded_value_sessions": 90}}, 110),
        ({"fast_entry": {"after": 40}}, 41),
        ({"rebalance": {"reference_offset": 7}}, 28),
    ],
)
def test_lookback_covers_every_window(raw: dict[str, object], sessions: int) -> None:
    assert parse(**raw).lookback_sessions == sessions


@pytest.mark.parametrize(
    ("raw", "key", "problem"),
    [
        ({"colour": 1}, "indices.0.colour", "unknown key.* Allowed: id, base_date, name"),
        ({"rebalance": {"every": 3}}, "indices.0.rebalance.every", "Allowed: frequency, months"),
        ({"rebalance": {"frequency": "weekly"}}, "indices.0.rebalance.frequency", "found 'weekly'.* Allowed: daily"),
        ({"rebalance": 3}, "indices.0.rebalance", "must be a mapping"),
        ({"rebalance": {"months": 3}}, "indices.0.rebalance.months", "must be a list"),
        ({"rebalance": {"months": ["March"]}}, "indices.0.rebalance.months.0", "must be a whole number"),
        ({"rebalance": {"months": [3]}}, "indices.0.rebalance.months", "a quarterly schedule takes 4 months"),
        ({"rebalance": {"months": [3, 3, 6, 9]}}, "indices.0.rebalance.months", "appears twice"),
        ({"rebalance": {"months": [3, 6, 9, 13]}}, "indices.0.rebalance.months", "1 to 12"),
        ({"rebalance": {"frequency": "monthly", "months": [1]}}, "indices.0.rebalance.months", "not for monthly"),
        (
            {"rebalance": {"frequency": "daily", "weekday": "friday", "nth": 1}},
            "indices.0.rebalance.weekday",
            "not for",
        ),
        ({"rebalance": {"weekday": "sunday", "nth": 1}}, "indices.0.rebalance.weekday", "Allowed: monday"),
        ({"rebalance": {"weekday": "friday"}}, "indices.0.rebalance.nth", "together with weekday"),
        ({"rebalance": {"weekday": "friday", "nth": 6}}, "indices.0.rebalance.nth", "1 to 5, or -1"),
        ({"rebalance": {"reference_offset": -1}}, "indices.0.rebalance.reference_offset", "0 or more"),
        ({"weighting": "alphabetical"}, "indices.0.weighting.kind", "Allowed: equal, price, market_cap"),
        ({"weighting": {"cap": 10}}, "indices.0.weighting.cap", "a share, not per cent"),
        ({"weighting": {"kind": "price", "cap": 0.1}}, "indices.0.weighting.cap", "price-weighted index has no caps"),
        ({"weighting": {"cap": 0.1, "group_threshold": 0.05}}, "indices.0.weighting.group_limit", "needed with"),
        ({"weighting": {"cap": 0.1, "group_limit": 0.4}}, "indices.0.weighting.group_limit", "needs group_threshold"),
        ({"weighting": {"group_limit": 4}}, "indices.0.weighting.group_limit", "not per cent"),
        (
            {"weighting": {"cap": 0.1, "group_threshold": 0.2, "group_limit": 0.4}},
            "indices.0.weighting.group_threshold",
            "below cap",
        ),
        ({"weighting": {"kind": "fixed"}}, "indices.0.weighting.weights", "given exactly when"),
        ({"weighting": {"weights": {"A": 1}}}, "indices.0.weighting.weights", "given exactly when"),
        ({"weighting": {"kind": "fixed", "weights": {"A": 0.5}}}, "indices.0.weighting.weights", "must sum to 1"),
        ({"weighting": {"kind": "fixed", "weights": {"A": -1}}}, "indices.0.weighting.weights.A", "above 0"),
        ({"weighting": {"kind": "fixed", "weights": [1]}}, "indices.0.weighting.weights", "must be a mapping"),
        ({"weighting": {"kind": "factor"}}, "indices.0.weighting.factor", "given for `factor` only"),
        ({"weighting": {"lookback": 1}}, "indices.0.weighting.lookback", "at least 2"),
        ({"weighting": {"free_float": "yes"}}, "indices.0.weighting.free_float", "must be true or false"),
        ({"selection": {"kind": "all", "count": 5}}, "indices.0.selection.count", "takes no count"),
        ({"selection": "momentum"}, "indices.0.selection.count", "needs a count"),
        ({"selection": {"kind": "momentum", "count": 5, "entry": 6}}, "indices.0.selection.entry", "1 to count"),
        ({"selection": {"kind": "momentum", "count": 5, "exit": 4}}, "indices.0.selection.exit", "at least count"),
        ({"selection": {"kind": "momentum", "count": 5, "lookback": 1}}, "indices.0.selection.lookback", "at least 2"),
        ({"selection": {"kind": "momentum", "count": 5, "skip": 252}}, "indices.0.selection.skip", "0 to lookback"),
        ({"eligibility": {"minimum_history": 0}}, "indices.0.eligibility.minimum_history", "at least 1"),
        ({"eligibility": {"minimum_price": -1}}, "indices.0.eligibility.minimum_price", "negative"),
        ({"eligibility": {"median_traded_value": -1}}, "indices.0.eligibility.median_traded_value", "negative"),
        ({"eligibility": {"traded_value_sessions": 0}}, "indices.0.eligibility.traded_value_sessions", "at least 1"),
        ({"withholding_tax": 30}, "indices.0.withholding_tax.default", "not per cent"),
        ({"withholding_tax": {"by_country": {"CH": 35}}}, "indices.0.withholding_tax.by_country.CH", "not per cent"),
        ({"withholding_tax": "high"}, "indices.0.withholding_tax.default", "must be a number"),
        ({"missing_price": {"limit": -1}}, "indices.0.missing_price.limit", "0 or more"),
        ({"missing_price": {"limit": True}}, "indices.0.missing_price.limit", "must be a whole number"),
        ({"fast_entry": {"after": 0}}, "indices.0.fast_entry.after", "at least 1"),
        ({"fast_entry": {"rank": -1}}, "indices.0.fast_entry.rank", "0 or more"),
        ({"fast_entry": {"rank": 5}}, "indices.0.fast_entry.rank", "needs weighting market_cap"),
        (
            {"fast_entry": {}, "weighting": {"kind": "inverse_volatility"}},
            "indices.0.fast_entry",
            "for equal, price or market_cap",
        ),
        ({"id": "lower case"}, "indices.0.id", "capitals"),
        ({"base_date": "yesterday"}, "indices.0.base_date", "must be a date"),
        ({"base_value": 0}, "indices.0.base_value", "above zero"),
        ({"currency": "dollar"}, "indices.0.currency", "ISO 4217"),
        ({"notional": float("inf")}, "indices.0.notional", "above zero"),
        ({"restatement": {"open_days": -1}}, "indices.0.restatement.open_days", "0 or more"),
        ({"name": 5}, "indices.0.name", "must be text"),
    ],
)
def test_a_bad_value_is_refused_with_its_key_and_reason(raw: dict[str, object], key: str, problem: str) -> None:
    with pytest.raises(ConfigError, match=problem) as refused:
        parse(**raw)
    assert (refused.value.file, refused.value.key) == ("market.yaml", key)


def test_required_keys() -> None:
    with pytest.raises(ConfigError, match=r"indices\.0\.base_date: is required"):
        parse_definition({"id": "X"}, file="market.yaml", key="indices.0")


def test_a_definition_error_is_a_value_error_that_names_its_parts() -> None:
    with pytest.raises(DefinitionError, match=r"weighting\.cap = 2: above 0") as refused:
        Weighting(cap=2)
    assert isinstance(refused.value, ValueError)
    assert (refused.value.key, refused.value.value) == ("weighting.cap", 2)


@pytest.mark.parametrize("given", ["2020-01-02", date(2020, 1, 2), datetime(2020, 1, 2)])  # noqa: DTZ001  # as YAML reads it
def test_a_date_may_be_text_or_what_yaml_makes_of_it(given: object) -> None:
    assert parse(base_date=given).base_date == date(2020, 1, 2)


def test_null_leaves_an_optional_rule_out() -> None:
    assert parse(fast_entry=None).fast_entry is None
