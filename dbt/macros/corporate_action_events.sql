{# Common table expressions, of which `stepped` is what corporate actions do: one row for each symbol and session at which
   any takes effect. With `after`, a relation of (symbol, session), only what takes effect after that session of each
   symbol, at which it has a bar: an action with a later ex-date. After a change here, `market dbt build --full-refresh`. #}
{% macro corporate_action_events(after=none) -%}
event as (
    select
        stated.symbol,
        stated.ex_date,
        public.product(
            case stated.kind when 'split' then stated.value when 'stock_dividend' then 1 + stated.value end
        ) as split_ratio,
        coalesce(
            sum(stated.value) filter (where stated.kind in ('cash_dividend', 'special_dividend', 'spin_off')), 0
        ) as cash_amount
    from {{ ref('int_golden_action') }} as stated
    {%- if after %}
    inner join {{ after }} as known on stated.symbol = known.symbol and stated.ex_date > known.session
    {%- endif %}
    where
        stated.kind in ('split', 'stock_dividend', 'cash_dividend', 'special_dividend', 'spin_off')
        and stated.value > 0
    group by stated.symbol, stated.ex_date
),

-- An event takes effect at the first session on or after its ex-date; without an earlier bar it changes nothing.
placed as (
    select
        event.symbol,
        event.ex_date,
        event.split_ratio,
        event.cash_amount,
        effective.session,
        previous.session as previous_session,
        previous.close as previous_close
    from event
    inner join lateral (
        select
            {{ first_session_from('event.symbol', 'event.ex_date') }} as session,
            {{ last_session_before('event.symbol', 'event.ex_date') }} as previous_session
        limit 1 -- it is one: said to look each up once, not again wherever it is read
    ) as effective on effective.session is not null
    inner join lateral (
        select
            bar.session,
            bar.close
        from {{ ref('int_golden_bar') }} as bar
        where bar.symbol = event.symbol and bar.session = effective.previous_session
        limit 1 -- it is one: said to look it up, not to join it with every bar there is
    ) as previous on true
),

-- Cash is per share of its ex-date. The close before is per share of the day before: where a split lies between them,
-- one share then is several shares now, and receives that many times the amount.
based as (
    select
        symbol,
        session,
        ex_date,
        previous_session,
        previous_close,
        split_ratio,
        cash_amount * public.product(split_ratio) over (
            partition by symbol, session order by ex_date
        ) as cash_amount
    from placed
),

by_session as (
    select
        symbol,
        session,
        previous_session,
        previous_close,
        min(ex_date) as ex_date,
        public.product(split_ratio) as split_ratio,
        sum(cash_amount) as cash_amount
    from based
    group by symbol, session, previous_session, previous_close
),

stepped as (
    select
        *,
        -- A distribution above the price is a fault in the data (a test reports it), not a factor.
        case when cash_amount < previous_close then 1 - cash_amount / previous_close else 1 end as dividend_step
    from by_session
)
{%- endmacro %}
