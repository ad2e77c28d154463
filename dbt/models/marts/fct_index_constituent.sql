{{ config(unique_key=['index_id', 'session', 'symbol']) }}

select
    holding.index_id,
    holding.session,
    holding.symbol,
    holding.shares,
    holding.price,
    holding.fx_rate,
    holding.shares * holding.price * holding.fx_rate as market_value,
    holding.weight,
    holding.contribution,
    holding.carried_sessions
from {{ ref('stg_indices__index_constituent') }} as holding
{{ only_changed('holding', ['index_id', 'session', 'symbol']) }}
