"""What `performance-test` says of its figures."""

import json
import re
from http.server import BaseHTTPRequestHandler, HTTPServer
from threading import Thread

import pytest

from tools import measures
from tools.measures import Measures
from tools.operations import Samples
from tools.outcome import Outcome, Result, Target, as_json
from tools.performance_page import page
from tools.ui import Failure
from tools.watch import Cache, Hashing, Memory, Pool, caches

MILLISECOND = 0.001


def result(*milliseconds: float, goal: float = 10, share: float = 0.5) -> Result:
    target = Target(key="verify", title="verification <now>", goal=goal * MILLISECOND, share=share, former=0.011)
    return Result(target=target, samples=Samples(seconds=[value * MILLISECOND for value in milliseconds]))


def outcome(*results: Result, hits: int = 99) -> Outcome:
    return Outcome(
        time="2026-11-23 08:00:00 UTC",
        machine={"cores": "2"},
        rows={"users": 10_000, "messages": 100_000},
        results=results,
        mix="A mix.",
        mix_calls_a_second=300.0,
        mix_caches=[Cache(kind="user", lookups=100, hits=hits)],
        all_caches=[Cache(kind="user", lookups=200, hits=hits)],
        pools=[Pool(name="auth", most_in_use=1, idle=1, size=10, acquired=5, mean_wait=0.001, long_waits=0)],
        memory=[Memory(process="auth", begin=1, most=3, end=2)],
        hashing=Hashing(hashes=1, mean=0.02, most_waiting=1, shed=0),
        notes=[],
    )


def test_quantiles_are_times_that_so_many_runs_did_not_exceed():
    samples = Samples(seconds=[5.0, 1.0, 4.0, 2.0, 3.0])
    assert (samples.median, samples.quantile(0.0), samples.quantile(0.99)) == (3.0, 1.0, 5.0)


def test_the_verdict_is_on_the_share_that_the_target_names():
    times = (1.0, 1.0, 1.0, 1.0, 50.0)
    assert result(*times).good
    assert not result(*times, share=0.99).good


def test_a_median_at_the_target_has_missed_it():
    assert not result(10.0, 10.0, 10.0).good


def test_what_was_missed_is_named_and_a_low_hit_rate_is_missed_too():
    assert outcome(result(1.0)).missed == []
    assert outcome(result(11.0), hits=95).missed == ["verification <now>", "cache hit rate"]


def test_the_json_tells_the_figures_in_milliseconds():
    told = json.loads(json.dumps(as_json(outcome(result(1.0, 2.0, 30.0)))))
    operation = told["operations"][0]
    assert (operation["median_ms"], operation["p99_ms"], operation["goal_ms"], operation["good"]) == (2, 30, 10, True)
    assert (told["good"], told["cache"]["hit_rate"]) == (True, 0.99)


def test_the_page_fetches_nothing_and_shows_every_operation():
    html = page(outcome(result(1.0, 2.0, 30.0), result(11.0)))
    assert html.count("verification &lt;now&gt;") >= 4
    assert "<now>" not in html
    assert re.findall(r"https?://|@import|url\(|<script|<link|<img", html) == []
    assert "Targets were missed" in html


def test_measures_are_summed_by_labels_and_compared_with_an_earlier_moment():
    before = Measures({("hits", frozenset({("kind", "user"), ("result", "hit")})): 3.0})
    now = Measures(
        {
            ("hits", frozenset({("kind", "user"), ("result", "hit")})): 10.0,
            ("hits", frozenset({("kind", "session"), ("result", "hit")})): 4.0,
            ("hits", frozenset({("kind", "user"), ("result", "miss")})): 1.0,
        }
    )
    added = now.since(before)
    assert added.total("hits", result="hit") == 11.0
    assert added.by("hits", "kind") == {"session": 4.0, "user": 8.0}


def test_the_hit_rate_counts_what_bypassed_the_cache_as_not_found():
    lookups = "parley_cache_lookups_total"
    values = {
        (lookups, frozenset({("kind", "user"), ("result", outcome)})): count
        for outcome, count in (("hit", 90.0), ("miss", 4.0), ("bypass", 5.0), ("rubbish", 1.0))
    }
    assert caches({"auth": Measures(values)}) == [Cache(kind="user", lookups=100, hits=90)]


def test_metrics_are_read_over_http():
    class Metrics(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.end_headers()
            self.wfile.write(
                b"# TYPE wait histogram\n"
                b'wait_bucket{pool="a",le="0.001"} 3\nwait_bucket{pool="a",le="+Inf"} 4\n'
                b'wait_sum{pool="a"} 2.0\nwait_count{pool="a"} 4\n'
            )

        def log_message(self, *_: object) -> None:
            """Keep the test's output to itself."""

    with HTTPServer(("127.0.0.1", 0), Metrics) as server:
        thread = Thread(target=server.handle_request)
        thread.start()
        found = measures.read(f"http://127.0.0.1:{server.server_port}")
        thread.join()
    assert (found.mean("wait", pool="a"), found.over("wait", "0.001", pool="a")) == (0.5, 1)


def test_a_service_that_does_not_answer_is_told_in_a_sentence():
    with HTTPServer(("127.0.0.1", 0), BaseHTTPRequestHandler) as server:
        port = server.server_port
    with pytest.raises(Failure, match="does not answer"):
        measures.read(f"http://127.0.0.1:{port}")
