"""The figures of `millpond calls report --json`, with plain Python: python3 python_report.py LOG

Written for speed: orjson for the lines, dictionaries for everything that is counted, one pass.
"""

import json
import re
import sys
from collections import Counter, defaultdict
from datetime import datetime, timezone

import orjson

SEGMENT = re.compile(
    r"/(?:(?P<uuid>[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{12})"
    r"|(?P<date>\d{4}-\d\d-\d\d)|(?P<id>\d+)|(?P<code>[A-Za-z]+-\d{3,}))(?=/|$)"
)
BUCKETS = [0, 10, 25, 50, 100, 250, 500, 1000, 2500, 5000, 10000, 30000]


def at(ms):
    text = datetime.fromtimestamp(ms // 1000, timezone.utc).strftime("%Y-%m-%dT%H:%M:%S")
    rest = f".{ms % 1000:03d}".rstrip("0").rstrip(".")
    return f"{text}{rest}Z"


def nearest_rank(counter, ordered, percent):
    total = sum(counter.values())
    rank = max(-(-total * percent // 100), 1)
    seen = 0
    for ms in ordered:
        seen += counter[ms]
        if seen >= rank:
            return ms
    return ordered[-1]


def counts(counter):
    return [{"code": code, "count": n} for code, n in sorted(counter.items(), key=lambda pair: (-pair[1], pair[0]))]


def main(path):
    loads = orjson.loads
    fold = SEGMENT.sub

    def placeholder(match):
        return "/{" + match.lastgroup + "}"

    minutes = {}  # the text of a minute -> its milliseconds
    durations, statuses, codes = Counter(), Counter(), Counter()
    endpoints = defaultdict(Counter)  # endpoint -> durations
    endpoint_codes = defaultdict(Counter)
    by_minute, bad_by_minute = Counter(), Counter()
    edges = []
    connections = {}
    slowest, bar = [], -1
    retries = waits = not_found = 0
    number = 0
    with open(path, "rb", buffering=1 << 20) as lines:
        for line in lines:
            number += 1
            call = loads(line)
            stamp = call["timestamp"]
            key = stamp[:16]
            minute = minutes.get(key)
            if minute is None:
                moment = datetime.strptime(key, "%Y-%m-%dT%H:%M").replace(tzinfo=timezone.utc)
                minute = minutes[key] = int(moment.timestamp()) * 1000
            ended = minute + int(stamp[17:19]) * 1000 + int(stamp[20:23])
            ms = call["durationMs"]
            start = ended - ms
            status, error = call["status"], call["error"]
            failed = error is not None or status is None or status >= 400
            durations[ms] += 1
            statuses["none" if status is None else str(status)] += 1
            endpoint = call["method"] + " " + fold(placeholder, call["url"].partition("?")[0])
            endpoints[endpoint][ms] += 1
            by_minute[minute] += 1
            name = (call["instance"], call["connection"])
            connection = connections.get(name)
            if connection is None:
                # calls, errors, throttled, milliseconds, waits, begun by minute
                connection = connections[name] = [0, 0, 0, 0, 0, Counter()]
            connection[0] += 1
            if failed:
                code = error.partition(" ")[0] if error is not None else f"HTTP_{status}"
                codes[code] += 1
                endpoint_codes[endpoint][code] += 1
                bad_by_minute[minute] += 1
                connection[1] += 1
                if status == 429:
                    connection[2] += 1
                elif status == 404:
                    not_found += 1
            connection[3] += ms
            wait = call["waitMs"]
            waits += wait
            connection[4] += wait
            connection[5][start // 60000] += 1
            if call["attempt"] > 1:
                retries += 1
            edges.append(start * 2 + 1)
            edges.append(max(ended, start + 1) * 2)
            if ms >= bar:
                slowest.append((-ms, ended, number, call["url"]))
                if len(slowest) > 2000:
                    slowest.sort()
                    del slowest[20:]
                    bar = -slowest[-1][0]
    slowest.sort()

    edges.sort()
    level = peak = peak_at = 0
    peaks = {}
    current, carried = edges[0] // 120000, 0
    first_minute = current
    for edge in edges:
        minute = edge // 120000
        if minute != current:
            # What the minute before ended with lasts through the minutes between.
            peaks[current] = max(peaks.get(current, 0), level)
            for between in range(current + 1, minute):
                peaks[between] = level
            current = minute
            peaks[current] = level if edge % 120000 > 1 else 0
        if edge & 1:
            level += 1
            if level > peaks.get(current, 0):
                peaks[current] = level
                if level > peak:
                    peak, peak_at = level, edge >> 1
        else:
            if edge % 120000 > 1 and level > peaks.get(current, 0):
                peaks[current] = level
            level -= 1
    last_minute = current

    ordered = sorted(durations)
    calls = number
    rows = []
    for endpoint, counter in endpoints.items():
        keys = sorted(counter)
        total = sum(ms * n for ms, n in counter.items())
        size = sum(counter.values())
        rows.append(
            {
                "endpoint": endpoint,
                "calls": size,
                "errors": sum(endpoint_codes[endpoint].values()),
                "mean_ms": total / size,
                "p50_ms": nearest_rank(counter, keys, 50),
                "p95_ms": nearest_rank(counter, keys, 95),
                "max_ms": keys[-1],
                "total_ms": total,
                "errors_by_code": counts(endpoint_codes[endpoint]),
            }
        )
    rows.sort(key=lambda one: (-one["total_ms"], one["endpoint"]))
    total = sum(ms * n for ms, n in durations.items())
    histogram = []
    for low, high in zip(BUCKETS, BUCKETS[1:] + [float("inf")]):
        histogram.append({"from_ms": low, "calls": sum(n for ms, n in durations.items() if low <= ms < high)})
    report = {
        "overview": {
            "calls": calls,
            "errors": sum(codes.values()),
            "first": at(min(edge for edge in edges if edge & 1) >> 1),
            "last": at(max(minutes.values()) if not edges else last_end(edges)),
            "retries": retries,
            "wait_ms": waits,
            "not_found": not_found,
        },
        "durations": {
            "min_ms": ordered[0],
            "max_ms": ordered[-1],
            "mean_ms": total / calls,
            **{f"p{p}_ms": nearest_rank(durations, ordered, p) for p in (50, 90, 95, 99)},
            "total_ms": total,
            "histogram": histogram,
        },
        "statuses": counts(statuses),
        "errors": counts(codes),
        "slowest": [{"duration_ms": -ms, "timestamp": at(ended), "url": url} for ms, ended, _, url in slowest[:20]],
        "endpoints": rows,
        "timeline": {
            "step_minutes": 1,
            "steps": [
                {
                    "at": at(minute * 60000),
                    "calls": by_minute[minute * 60000],
                    "errors": bad_by_minute[minute * 60000],
                    "peak": peaks.get(minute, 0),
                }
                for minute in range(first_minute, last_minute + 1)
            ],
        },
        "concurrency": {"peak": peak, "peak_at": at(peak_at)},
        "connections": sorted(
            (
                {
                    "connection": "/".join(name),
                    "calls": one[0],
                    "errors": one[1],
                    "throttled": one[2],
                    "mean_ms": one[3] / one[0],
                    "wait_ms": one[4],
                    "minute_max": max(one[5].values()),
                }
                for name, one in connections.items()
            ),
            key=lambda one: (-one["calls"], one["connection"]),
        ),
    }
    json.dump(report, sys.stdout)


def last_end(edges):
    return next(edge for edge in reversed(edges) if not edge & 1) >> 1


main(sys.argv[1])
