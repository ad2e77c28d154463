"""The model behind source `synthetic`: companies on one exchange, day by day, as arrays of shape (sessions, companies).

Belongs here: prices, events, listings, suspensions, share counts. Does not belong here: frames, requests and labels
(`synthetic.py`), or what a careless vendor does to the numbers (`synthetic_faults.py`).

Every value of a session depends on numbers of that session and earlier ones, never on later ones, on the range asked
for or on the other companies. Returns: one market factor with three volatility regimes (Hamilton, "A New Approach to
the Economic Analysis of Nonstationary Time Series and the Business Cycle", Econometrica 1989) and own noise:

    r = beta x market + scale(regime) x sigma x z,        close = (previous close / split ratio - cash) x exp(r)
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt
import pandas as pd

from market_assets.sources.counter_random import (
    DayArray,
    FloatArray,
    KeyArray,
    keys_of,
    normal,
    normal_once,
    uniform,
    uniform_once,
)
from market_assets.sources.synthetic_options import SyntheticOptions

BoolArray = npt.NDArray[np.bool_]

SESSIONS_PER_YEAR: Final = 252
NEVER: Final = np.iinfo(np.int64).max

# Regimes calm, nervous, crisis: daily drift and volatility of the market, scale of companies' own volatility, and the
# chance of each next regime. A crisis lasts 40 sessions on average.
_DRIFT: Final = np.array([0.0006, 0.0, -0.0015])
_VOLATILITY: Final = np.array([0.006, 0.012, 0.026])
_SCALE: Final = np.array([1.0, 1.4, 2.2])
_NEXT: Final = np.cumsum([[0.990, 0.009, 0.001], [0.020, 0.970, 0.010], [0.005, 0.020, 0.975]], axis=1)

_SPLIT_ABOVE, _REVERSE_BELOW = 200.0, 1.5
_SPLIT_CHANCE: Final = 0.05  # a company over the limit splits within a month, on average
_SPECIAL_CHANCE, _SPIN_OFF_CHANCE = 0.0001, 0.00003
_COLLAPSE_DAYS, _COLLAPSE_RETURN = 21, -0.2


@dataclass(frozen=True)
class Companies:
    """What does not change about each company; arrays of shape (companies,).

    Attributes:
        names: symbols.
        keys: keys of their random numbers.
        beta, sigma: loading on the market, own daily volatility.
        first_price: price at the start, in currency.
        turnover: usual turnover of a session, in currency.
        dividend_yield: yearly, 0 for those that do not pay.
        dividend_month, dividend_session: month of the quarter (0-2) and session of that month with the ex-date.
        listed, delisted: first and last day, as days since 1970; NEVER when it stays listed.
        collapses: whether it loses its value before it is delisted.
        first_shares: shares outstanding at the start.
    """

    names: tuple[str, ...]
    keys: KeyArray
    beta: FloatArray
    sigma: FloatArray
    first_price: FloatArray
    turnover: FloatArray
    dividend_yield: FloatArray
    dividend_month: DayArray
    dividend_session: DayArray
    listed: DayArray
    delisted: DayArray
    collapses: BoolArray
    first_shares: FloatArray


@dataclass(frozen=True)
class Path:
    """One block of companies over all sessions from the start; arrays of shape (sessions, companies).

    Attributes:
        days: sessions as days since 1970, shape (sessions,).
        regime: market regime of each session, shape (sessions,).
        close: as traded, rounded to 0.01; also while suspended or not listed.
        previous: close before, on the share basis of the session (first price at the start).
        ratio: new shares per old share that take effect at the session, 1.0 if none.
        regular, special, spin_off: cash per share with that ex-date, 0.0 if none.
        alive: whether the company is listed.
        trades: whether there is a bar: alive and not suspended.
    """

    days: DayArray
    regime: DayArray
    close: FloatArray
    previous: FloatArray
    ratio: FloatArray
    regular: FloatArray
    special: FloatArray
    spin_off: FloatArray
    alive: BoolArray
    trades: BoolArray


@dataclass(frozen=True)
class Bars:
    """Bars of some sessions; arrays of shape (sessions, companies), which faults change in place."""

    open: FloatArray
    high: FloatArray
    low: FloatArray
    close: FloatArray
    volume: FloatArray


def found_companies(names: tuple[str, ...], options: SyntheticOptions) -> Companies:
    """The companies of these symbols."""
    keys = keys_of(options.seed, names)
    start = np.datetime64(options.start, "D").astype(np.int64)
    late = uniform_once(keys, "late") < options.late_listings
    wait = np.where(late, -np.log(uniform_once(keys, "listed")) * 3 * 365.25, 0.0)
    listed = start + wait.astype(np.int64)
    leaves = options.delistings_per_year > 0
    life = -np.log(uniform_once(keys, "delisted")) * 365.25 / max(options.delistings_per_year, 1e-9)
    return Companies(
        names=names,
        keys=keys,
        beta=np.clip(1.0 + 0.35 * normal_once(keys, "beta"), 0.2, 2.2),
        sigma=0.014 * np.exp(0.35 * normal_once(keys, "sigma")),
        first_price=np.clip(np.round(40.0 * np.exp(0.8 * normal_once(keys, "price")), 2), 3.0, 400.0),
        turnover=2e7 * np.exp(1.5 * normal_once(keys, "turnover")),
        dividend_yield=np.where(
            uniform_once(keys, "payer") < options.dividend_payers, 0.005 + 0.035 * uniform_once(keys, "yield"), 0.0
        ),
        dividend_month=(uniform_once(keys, "month") * 3).astype(np.int64),
        dividend_session=(uniform_once(keys, "session") * 15).astype(np.int64),
        listed=listed,
        delisted=listed + (life.astype(np.int64) + 90 if leaves else NEVER - listed),
        collapses=uniform_once(keys, "collapses") < 0.3,
        first_shares=np.round(2e8 * np.exp(normal_once(keys, "shares")), -3),
    )


def market_regimes(seed: int, days: DayArray) -> DayArray:
    """Regime of each session, 0 calm, 1 nervous, 2 crisis; the chain starts calm at the first session."""
    draws = uniform(keys_of(seed, ["market"]), "regime", days)[:, 0]
    regimes = np.zeros(len(days), np.int64)
    state = 0
    for position, draw in enumerate(draws):
        state = int(np.searchsorted(_NEXT[state], draw))
        regimes[position] = min(state, 2)
    return regimes


def simulate(companies: Companies, sessions: pd.DatetimeIndex, options: SyntheticOptions) -> Path:
    """The companies' closes and events over all `sessions`, which have to begin at the start of the market."""
    days = sessions.to_numpy("datetime64[D]").astype(np.int64)
    regime = market_regimes(options.seed, days)
    returns = _returns(companies, days, regime, options.seed)
    alive = (days[:, None] >= companies.listed) & (days[:, None] <= companies.delisted)
    # No event on the day of listing: there is no session before it that could have gone ex.
    settled = alive & np.vstack([np.zeros_like(alive[:1]), alive[:-1]])
    may_split = settled & (uniform(companies.keys, "split", days) < _SPLIT_CHANCE)
    cash = _payouts(companies, sessions, days) * settled

    close, previous, ratio = np.empty_like(returns), np.empty_like(returns), np.ones_like(returns)
    growth, last = np.exp(returns), companies.first_price
    for row in range(len(days)):
        base = last
        if may_split[row].any():
            forward = may_split[row] & (last > _SPLIT_ABOVE)
            reverse = may_split[row] & (last < _REVERSE_BELOW) & (last > 0.1)
            ratio[row, forward] = np.clip(np.rint(last[forward] / 80.0), 2, 10)
            ratio[row, reverse] = 0.1
            base = np.round(last / ratio[row], 4)
        cash[:, row] = np.round(cash[:, row] * base, 2)
        close[row] = np.maximum(np.round((base - cash[:, row].sum(axis=0)) * growth[row], 2), 0.01)
        previous[row], last = base, close[row]
    regular, special, spin_off = cash
    trades = alive & ~_suspended(companies, days, options)
    return Path(days, regime, close, previous, ratio, regular, special, spin_off, alive, trades)


def draw_bars(companies: Companies, path: Path, rows: slice) -> Bars:
    """Bars around the closes of some sessions: low <= open, close <= high, prices in 0.01, volume in whole shares."""
    days, keys = path.days[rows], companies.keys
    close, previous = path.close[rows], path.previous[rows]
    spread = companies.sigma * _SCALE[path.regime[rows]][:, None]
    opened = np.maximum(np.round(previous * np.exp(0.4 * spread * normal(keys, "open", days)), 2), 0.01)
    above = 1.0 - 0.5 * spread * np.log(uniform(keys, "high", days))
    below = 1.0 + 0.5 * spread * np.log(uniform(keys, "low", days))
    high = np.round(np.maximum(opened, close) * above, 2)
    low = np.maximum(np.round(np.minimum(opened, close) * np.maximum(below, 0.5), 2), 0.01)
    noise = np.exp(0.4 * normal(keys, "volume", days)) * (1.0 + 12.0 * np.abs(np.log(close / previous)))
    volume = np.maximum(np.rint(companies.turnover * noise / close), 1.0)
    return Bars(opened, high, low, close.copy(), volume)


def share_counts(companies: Companies, path: Path) -> FloatArray:
    """Shares outstanding at each session, shape (sessions, companies): splits, and a yearly issue or buy-back.

    The count changes on ex-dates of splits, and by up to 2 % on the first session of a year.
    """
    year = path.days.astype("datetime64[D]").astype("datetime64[Y]").astype(np.int64)
    turns = np.flatnonzero(np.diff(year)) + 1
    growth = np.ones_like(path.ratio)
    growth[turns] = 1.0 + 0.04 * (uniform(companies.keys, "issue", path.days[turns]) - 0.5)
    # Rounded before the splits, so that a split multiplies the count by its ratio exactly.
    issued = np.maximum(np.round(companies.first_shares * np.cumprod(growth, axis=0), -4), 10_000.0)
    counts: FloatArray = issued * np.cumprod(path.ratio, axis=0)
    return counts


def _returns(companies: Companies, days: DayArray, regime: DayArray, seed: int) -> FloatArray:
    shock = normal(keys_of(seed, ["market"]), "shock", days)[:, 0]
    market = _DRIFT[regime] + _VOLATILITY[regime] * shock
    own = normal(companies.keys, "return", days)
    own *= _SCALE[regime][:, None] * companies.sigma
    left = companies.delisted - days[:, None]
    collapsing = companies.collapses & (left >= 0) & (left < _COLLAPSE_DAYS)
    returns: FloatArray = companies.beta * market[:, None] + own + np.where(collapsing, _COLLAPSE_RETURN, 0.0)
    return returns


def _payouts(companies: Companies, sessions: pd.DatetimeIndex, days: DayArray) -> FloatArray:
    """Part of the price paid as regular dividend, special dividend and spin-off; shape (3, sessions, companies)."""
    month = (sessions.month.to_numpy() - 1) % 3
    period = sessions.to_numpy("datetime64[M]")
    nth = np.arange(len(sessions)) - np.searchsorted(period, period)
    payday = (month[:, None] == companies.dividend_month) & (nth[:, None] == companies.dividend_session)
    return np.stack(
        [
            np.where(payday, companies.dividend_yield / 4, 0.0),
            np.where(uniform(companies.keys, "special", days) < _SPECIAL_CHANCE, 0.05, 0.0),
            np.where(uniform(companies.keys, "spin_off", days) < _SPIN_OFF_CHANCE, 0.10, 0.0),
        ]
    )


def _suspended(companies: Companies, days: DayArray, options: SyntheticOptions) -> BoolArray:
    if options.suspensions_per_year == 0:
        return np.zeros((len(days), len(companies.names)), dtype=bool)
    begins = uniform(companies.keys, "suspend", days) < options.suspensions_per_year / SESSIONS_PER_YEAR
    length = 1 + (-8.0 * np.log(uniform(companies.keys, "suspend.length", days))).astype(np.int64)
    row = np.arange(len(days))[:, None]
    ends = np.maximum.accumulate(np.where(begins, row + length, 0), axis=0)
    suspended: BoolArray = row < ends
    return suspended
