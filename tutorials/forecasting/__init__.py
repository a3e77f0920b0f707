"""Tutorial: forecasting time series, beside the forecasts that need no network."""
