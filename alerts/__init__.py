"""Alert rules, thresholds, Alertmanager configuration and runbooks."""
