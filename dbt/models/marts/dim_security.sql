{{ config(unique_key=['symbol']) }}

with listed as (
    {% if is_incremental() %}
        select changed_keys.symbol
        from changed_keys
    {% else %}
        select facts.symbol
        from {{ ref('stg_market__security') }} as facts
        union
        select membership.symbol
        from {{ ref('stg_market__universe_member') }} as membership
    {% endif %}
),

latest_membership as (
    select distinct on (membership.symbol) membership.*
    from {{ ref('stg_market__universe_member') }} as membership
    order by membership.symbol asc, membership.member_from desc
),

renamed as (
    select
        change.symbol,
        change.detail as new_symbol,
        min(change.ex_date) as ex_date
    from {{ ref('stg_market__corporate_action') }} as change
    where change.kind = 'symbol_change' and change.detail != change.symbol
    group by change.symbol, change.detail
),

former as (
    select
        renamed.new_symbol,
        string_agg(renamed.symbol, ', ' order by renamed.ex_date) as symbols
    from renamed
    group by renamed.new_symbol
),

latest_shares as (
    select distinct on (counted.symbol) counted.*
    from {{ ref('stg_market__shares_outstanding') }} as counted
    order by counted.symbol asc, counted.effective_date desc
)

select
    listed.symbol,
    coalesce(facts.exchange, latest_membership.exchange) as exchange,
    coalesce(facts.name, latest_membership.name) as name,
    coalesce(facts.currency, latest_membership.currency) as currency,
    facts.first_session,
    facts.last_session,
    facts.source,
    latest_membership.member_from,
    latest_membership.member_to,
    latest_shares.shares as shares_outstanding,
    latest_shares.effective_date as shares_effective_date,
    former.symbols as former_symbols
from listed
left join {{ ref('stg_market__security') }} as facts on listed.symbol = facts.symbol
left join latest_membership on listed.symbol = latest_membership.symbol
left join latest_shares on listed.symbol = latest_shares.symbol
left join former on listed.symbol = former.new_symbol
where
    (facts.symbol is not null or latest_membership.symbol is not null)
    -- A security is listed once, under the symbol it has now; a symbol that another one took over later is that one.
    and not exists (
        select 1
        from renamed
        where
            renamed.symbol = listed.symbol
            and renamed.ex_date > coalesce(latest_membership.member_from, '-infinity')
    )
