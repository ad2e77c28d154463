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
    latest_shares.effective_date as shares_effective_date
from listed
left join {{ ref('stg_market__security') }} as facts on listed.symbol = facts.symbol
left join latest_membership on listed.symbol = latest_membership.symbol
left join latest_shares on listed.symbol = latest_shares.symbol
where facts.symbol is not null or latest_membership.symbol is not null
