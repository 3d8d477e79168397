"""Panels that the dashboards of both data sources have, without their questions."""
