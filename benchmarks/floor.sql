-- The marts of the plain script (floor.py): the same rows and columns as dbt's, without versions, actions and contracts.
-- :since is the first session to build; earlier rows stay.
create table if not exists fct_daily_bar (
    symbol text, session date, open float8, high float8, low float8, close float8, volume float8, price_return float8,
    primary key (symbol, session)
);
create table if not exists fct_indicator (like indicator including all);
create table if not exists fct_index_value (
    session date primary key, level float8, divisor float8, market_value float8, daily_return float8,
    cumulative_return float8, moving_average_20 float8
);
create table if not exists fct_index_constituent (like index_constituent including all);
create table if not exists dim_security (symbol text primary key, first_session date, last_session date);
create table if not exists dim_session (session date primary key, session_number bigint, previous_session date);
create table if not exists mart_market_breadth (
    session date primary key, symbols bigint, advancers bigint, decliners bigint, up_volume float8, mean_return float8,
    return_dispersion float8, new_highs_252 bigint, new_lows_252 bigint, share_above_sma_50 float8,
    share_above_sma_200 float8
);
create table if not exists mart_price_anomaly (
    symbol text, session date, close float8, session_return float8, trailing_mean float8, trailing_deviation float8,
    z_score float8, primary key (symbol, session)
);
create table if not exists mart_index_performance (
    period text primary key, first_session date, last_session date, period_return float8, volatility float8,
    sharpe_ratio float8, max_drawdown float8, best_return float8, worst_return float8
);

insert into fct_daily_bar
select * from (
    select *, close / lag(close) over (partition by symbol order by session) - 1 as price_return
    from price_bar where session >= :since - 10
) as bar where session >= :since;

create index if not exists fct_daily_bar_session on fct_daily_bar (session);

insert into fct_indicator select * from indicator where session >= :since;

create index if not exists fct_indicator_session on fct_indicator (session);

insert into fct_index_constituent select * from index_constituent where session >= :since;

insert into fct_index_value
select * from (
    select *,
        level / lag(level) over (order by session) - 1 as daily_return,
        level / first_value(level) over (order by session) - 1 as cumulative_return,
        avg(level) over (order by session rows between 19 preceding and current row) as moving_average_20
    from index_value
) as value where session >= :since;

truncate dim_security;

insert into dim_security select symbol, min(session), max(session) from price_bar group by symbol;

truncate dim_session;

insert into dim_session
select session, row_number() over (order by session), lag(session) over (order by session)
from (select distinct session from price_bar) as sessions;

insert into mart_market_breadth
select bar.session, count(*), count(*) filter (where price_return > 0), count(*) filter (where price_return < 0),
    sum(volume) filter (where price_return > 0), avg(price_return), stddev_samp(price_return),
    count(*) filter (where high >= high_252), count(*) filter (where low <= low_252),
    avg((close > sma_50)::integer), avg((close > sma_200)::integer)
from fct_daily_bar as bar join fct_indicator using (symbol, session)
where session >= :since group by bar.session;

insert into mart_price_anomaly
select symbol, session, close, price_return, mean, deviation, (price_return - mean) / deviation
from (
    select symbol, session, close, price_return, count(price_return) over earlier as known,
        avg(price_return) over earlier as mean, stddev_samp(price_return) over earlier as deviation
    from fct_daily_bar where session >= :since - 100
    window earlier as (partition by symbol order by session rows between 60 preceding and 1 preceding)
) as scored
where known >= 20 and deviation > 0 and session >= :since and abs(price_return - mean) > 3 * deviation;

truncate mart_index_performance;

insert into mart_index_performance
select period, min(session), max(session), exp(sum(ln(1 + daily_return))) - 1, stddev_samp(daily_return) * sqrt(252),
    avg(daily_return) / nullif(stddev_samp(daily_return), 0) * sqrt(252), min(level / peak - 1), max(daily_return),
    min(daily_return)
from (
    select period, session, level, daily_return, max(level) over (partition by period order by session) as peak
    from fct_index_value, lateral (
        values (to_char(session, 'YYYY')), (to_char(session, 'YYYY-MM')), (to_char(session, 'YYYY-"Q"Q'))
    ) as calendar (period)
    where daily_return is not null
) as peaked group by period
