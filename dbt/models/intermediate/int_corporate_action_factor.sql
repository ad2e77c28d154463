with {{ corporate_action_events() }}

select
    symbol,
    session,
    ex_date,
    previous_session,
    previous_close,
    split_ratio,
    cash_amount,
    dividend_step,
    public.product(1 / split_ratio) over later as split_factor_before,
    public.product(dividend_step) over later as dividend_factor_before,
    public.product(split_ratio) over earlier as forward_split_factor,
    public.product(1 / dividend_step) over earlier as forward_dividend_factor
from stepped
window
    later as (partition by symbol order by session desc),
    earlier as (partition by symbol order by session)
