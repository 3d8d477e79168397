"""Maintenance windows of a configuration: one of the fleet's, in another time zone, and one of a host's."""

WINDOWS = """
[[alerting.maintenance]]
name = "sunday"
start = "02:00"
end = "04:00"
weekdays = ["sunday"]
location = "Asia/Shanghai"
[[alerting.maintenance]]
name = "move"
start = "20:00"
end = "24:00"
hosts = ["db7"]
severities = ["critical", "warning"]
"""
