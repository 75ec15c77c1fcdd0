"""The figures of `millpond calls report --json`, with pandas: python3 pandas_report.py LOG

Written for speed: Arrow's parallel JSON reader with the needed columns only, dictionaries for texts that repeat, routes
folded once per path, everything else in vectorised numpy and pandas.
"""

import json
import sys

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.json as pj

SCHEMA = pa.schema(
    [
        ("timestamp", pa.string()),
        ("method", pa.string()),
        ("url", pa.string()),
        ("baseURL", pa.string()),
        ("status", pa.int32()),
        ("durationMs", pa.int64()),
        ("error", pa.string()),
        ("instance", pa.string()),
        ("connection", pa.string()),
        ("attempt", pa.int32()),
        ("waitMs", pa.int64()),
    ]
)
FOLDS = [
    (r"/[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{12}\b", "/{uuid}"),
    (r"/\d{4}-\d\d-\d\d\b", "/{date}"),
    (r"/\d+(/|$)", r"/{id}\1"),
    (r"/[A-Za-z]+-\d{3,}(/|$)", r"/{code}\1"),
]
BUCKETS = [0, 10, 25, 50, 100, 250, 500, 1000, 2500, 5000, 10000, 30000]


def read(path):
    table = pj.read_json(
        path,
        read_options=pj.ReadOptions(use_threads=True, block_size=16 << 20),
        parse_options=pj.ParseOptions(explicit_schema=SCHEMA, unexpected_field_behavior="ignore"),
    )
    columns = {}
    for name in ("method", "error", "instance", "connection"):
        codes = table[name].combine_chunks().dictionary_encode()
        columns[name] = pd.Categorical.from_codes(
            codes.indices.fill_null(-1).to_numpy(zero_copy_only=False), codes.dictionary.to_pandas()
        )
    stamps = pc.strptime(pc.utf8_slice_codeunits(table["timestamp"], 0, 19), "%Y-%m-%dT%H:%M:%S", "s")
    millis = pc.cast(pc.utf8_slice_codeunits(table["timestamp"], 20, 23), pa.int64())
    columns["ended"] = pc.cast(stamps, pa.int64()).to_numpy() * 1000 + millis.to_numpy()
    columns["ms"] = table["durationMs"].to_numpy()
    columns["status"] = table["status"].fill_null(-1).to_numpy()
    columns["attempt"] = table["attempt"].to_numpy()
    columns["wait"] = table["waitMs"].to_numpy()
    # A path without its query; each different one is folded once.
    paths = pc.replace_substring_regex(table["url"], r"\?.*", "").combine_chunks().dictionary_encode()
    folded = paths.dictionary
    for pattern, name in FOLDS:
        folded = pc.replace_substring_regex(folded, pattern, name)
    templates = folded.dictionary_encode()
    codes = templates.indices.to_numpy()[paths.indices.to_numpy()]
    columns["template"] = pd.Categorical.from_codes(codes, templates.dictionary.to_pandas())
    return pd.DataFrame(columns, copy=False), table["url"]


def at(ms):
    text = pd.Timestamp(int(ms), unit="ms").strftime("%Y-%m-%dT%H:%M:%S.%f").rstrip("0").rstrip(".")
    return text + "Z"


def nearest_rank(sorted_values, percent):
    return int(sorted_values[max(-(-len(sorted_values) * percent // 100), 1) - 1])


def counts(codes):
    found = codes.value_counts()
    found = sorted(((n, code) for code, n in found.items() if n > 0), key=lambda pair: (-pair[0], pair[1]))
    return [{"code": code, "count": int(n)} for n, code in found]


def main(path):
    frame, urls = read(path)
    ms, ended = frame["ms"].to_numpy(), frame["ended"].to_numpy()
    start = ended - ms
    calls = len(frame)
    status = frame["status"].to_numpy()
    has_error = frame["error"].cat.codes.to_numpy() >= 0
    failed = has_error | (status < 0) | (status >= 400)
    words = pd.Categorical([text.split(" ")[0] for text in frame["error"].cat.categories])
    frame["code"] = pd.Categorical.from_codes(
        np.where(has_error, words.codes[frame["error"].cat.codes.to_numpy()], -1), words.categories
    )
    frame["failed"] = failed

    by_ms = np.sort(ms, kind="stable")
    longest = np.lexsort((np.arange(calls), ended, -ms))[:20] if calls < 1000 else None
    if longest is None:
        cut = by_ms[-20]
        among = np.flatnonzero(ms >= cut)
        longest = among[np.lexsort((among, ended[among], -ms[among]))][:20]
    slowest = [
        {"duration_ms": int(ms[n]), "timestamp": at(ended[n]), "url": urls[int(n)].as_py()} for n in longest
    ]

    endpoint = frame["method"].cat.codes.to_numpy().astype(np.int64) * len(frame["template"].cat.categories)
    endpoint += frame["template"].cat.codes.to_numpy()
    order = np.lexsort((ms, endpoint))
    sorted_endpoint, sorted_ms = endpoint[order], ms[order]
    begins = np.flatnonzero(np.r_[True, sorted_endpoint[1:] != sorted_endpoint[:-1]])
    ends = np.r_[begins[1:], calls]
    sorted_failed = failed[order]
    sorted_code = frame["code"].cat.codes.to_numpy()[order]
    endpoints = []
    for begin, end in zip(begins, ends):
        method, template = divmod(int(sorted_endpoint[begin]), len(frame["template"].cat.categories))
        part = sorted_ms[begin:end]
        bad = sorted_code[begin:end][sorted_failed[begin:end]]
        codes = pd.Series(pd.Categorical.from_codes(bad, words.categories))
        endpoints.append(
            {
                "endpoint": f"{frame['method'].cat.categories[method]} {frame['template'].cat.categories[template]}",
                "calls": int(end - begin),
                "errors": len(bad),
                "mean_ms": float(part.mean()),
                "p50_ms": nearest_rank(part, 50),
                "p95_ms": nearest_rank(part, 95),
                "max_ms": int(part[-1]),
                "total_ms": int(part.sum()),
                "errors_by_code": counts(codes),
            }
        )
    endpoints.sort(key=lambda one: (-one["total_ms"], one["endpoint"]))

    # Calls under way: +1 at each start, -1 at each end, ends first.
    stop = np.maximum(ended, start + 1)
    edges = np.concatenate((start * 2 + 1, stop * 2))
    edges.sort(kind="stable")
    level = np.cumsum(np.where(edges & 1, 1, -1))
    peak_place = int(level.argmax())

    first_minute, last_minute = int(start.min() // 60000), int(stop.max() // 60000)
    minute = ended // 60000 - first_minute
    length = last_minute - first_minute + 1
    minute_calls = np.bincount(minute, minlength=length)
    minute_errors = np.bincount(minute[failed], minlength=length)
    # The peak of a minute: what it begins with, or what any of its moments reaches.
    edge_minute = (edges >> 1) // 60000 - first_minute
    peaks = np.zeros(length, dtype=np.int64)
    np.maximum.at(peaks, edge_minute[(edges & 1) == 1], level[(edges & 1) == 1])
    bounds = np.searchsorted(edges, (np.arange(length) + first_minute) * 120000 + 1)
    peaks = np.maximum(peaks, np.where(bounds > 0, level[bounds - 1], 0))

    connections = []
    for (instance, connection), part in frame.groupby(["instance", "connection"], observed=True, sort=False):
        begun = np.bincount(((part["ended"] - part["ms"]) // 60000 - first_minute).to_numpy(), minlength=length)
        connections.append(
            {
                "connection": f"{instance}/{connection}",
                "calls": len(part),
                "errors": int(part["failed"].sum()),
                "throttled": int((part["status"] == 429).sum()),
                "mean_ms": float(part["ms"].mean()),
                "wait_ms": int(part["wait"].sum()),
                "minute_max": int(begun.max()),
            }
        )
    connections.sort(key=lambda one: (-one["calls"], one["connection"]))

    histogram = np.histogram(ms, bins=BUCKETS + [np.inf])[0]
    statuses = pd.Series(status).value_counts()
    statuses = sorted(((int(n), "none" if code < 0 else str(code)) for code, n in statuses.items()), key=lambda p: (-p[0], p[1]))
    report = {
        "overview": {
            "calls": calls,
            "errors": int(failed.sum()),
            "first": at(start.min()),
            "last": at(ended.max()),
            "retries": int((frame["attempt"] > 1).sum()),
            "wait_ms": int(frame["wait"].sum()),
            "not_found": int((status == 404).sum()),
        },
        "durations": {
            "min_ms": int(by_ms[0]),
            "max_ms": int(by_ms[-1]),
            "mean_ms": float(ms.mean()),
            **{f"p{p}_ms": nearest_rank(by_ms, p) for p in (50, 90, 95, 99)},
            "total_ms": int(ms.sum()),
            "histogram": [{"from_ms": low, "calls": int(n)} for low, n in zip(BUCKETS, histogram)],
        },
        "statuses": [{"code": code, "count": n} for n, code in statuses],
        "errors": counts(frame["code"]),
        "slowest": slowest,
        "endpoints": endpoints,
        "timeline": {
            "step_minutes": 1,
            "steps": [
                {"at": at((n + first_minute) * 60000), "calls": int(c), "errors": int(e), "peak": int(p)}
                for n, (c, e, p) in enumerate(zip(minute_calls, minute_errors, peaks))
            ],
        },
        "concurrency": {"peak": int(level[peak_place]), "peak_at": at(edges[peak_place] >> 1)},
        "connections": connections,
    }
    json.dump(report, sys.stdout)


main(sys.argv[1])
