{{ config(unique_key=['symbol', 'session'], indexes=[{'columns': ['session']}]) }}

select
    indicator.symbol,
    -- <indicators> written by dbt/write_indicator_columns.py
    indicator.return_1,
    indicator.return_5,
    indicator.return_21,
    indicator.return_252,
    indicator.high_252,
    indicator.low_252,
    indicator.drawdown_252,
    indicator.sma_20,
    indicator.sma_50,
    indicator.sma_200,
    indicator.ema_12,
    indicator.ema_26,
    indicator.macd,
    indicator.macd_signal,
    indicator.macd_histogram,
    indicator.adx_14,
    indicator.plus_di_14,
    indicator.minus_di_14,
    indicator.rsi_14,
    indicator.stochastic_k,
    indicator.stochastic_d,
    indicator.bollinger_upper,
    indicator.bollinger_middle,
    indicator.bollinger_lower,
    indicator.bollinger_percent_b,
    indicator.bollinger_bandwidth,
    indicator.atr_14,
    indicator.natr_14,
    indicator.volatility_20,
    indicator.volatility_60,
    indicator.obv,
    indicator.mfi_14,
    indicator.vwap_20,
    indicator.volume_ratio_20,
    -- </indicators>
    indicator.session
from {{ ref('stg_analytics__indicator') }} as indicator
{{ only_changed('indicator', ['symbol', 'session']) }}
