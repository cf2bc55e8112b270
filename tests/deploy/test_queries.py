from __future__ import annotations

import pytest

from tests.deploy.queries import faults, misused


@pytest.mark.parametrize(
    ("query", "fault"),
    [
        ("rate(kuaixun_outcome_total[5m])", "kuaixun_outcome_total is no metric"),
        ('sum(kuaixun_outcomes_total{result="labelled"})', "kuaixun_outcomes_total has no label result"),
        ("sum by (reason) (rate(kuaixun_outcomes_total[5m]))", "nothing in the query has the label reason"),
        ("rate(kuaixun_stage_seconds[5m])", "kuaixun_stage_seconds is no metric"),
        ("count(kuaixun_models_info)", "kuaixun_models_info is no metric"),
        ("max_over_time(kuaixun_lags[5m:1m])", "kuaixun_lags is no metric"),
    ],
)
def test_what_no_worker_shows_is_found_wherever_it_stands_in_a_query(query: str, fault: str) -> None:
    assert faults(query) == [fault]


@pytest.mark.parametrize(
    "query",
    [
        'histogram_quantile(0.9, sum by (job, le) (rate(kuaixun_stage_seconds_bucket{stage="read"}[5m]))) > 1',
        "sum by (reason, namespace) (rate(kuaixun_dead_letters_total[5m])) or absent(kuaixun_ready)",
    ],
)
def test_what_a_worker_shows_is_no_fault(query: str) -> None:
    assert faults(query) == []


def test_a_query_that_is_none_is_refused() -> None:
    with pytest.raises(ValueError, match="unclosed"):
        faults("sum(rate(kuaixun_outcomes_total[5m])")


@pytest.mark.parametrize(
    ("query", "fault"),
    [
        ("sum(rate(kuaixun_lag_records[5m]))", "rate of kuaixun_lag_records, which is a gauge"),
        ("max(deriv(kuaixun_outcomes_total[5m]))", "deriv of kuaixun_outcomes_total, which is a counter"),
        ("increase(kuaixun_ready[5m:1m])", "increase of kuaixun_ready, which is a gauge"),
        ("sum(kuaixun_outcomes_total)", "kuaixun_outcomes_total without rate or increase"),
        ("histogram_quantile(0.9, kuaixun_loop_turn_age_seconds)", "kuaixun_loop_turn_age_seconds, which is no bucket"),
        ("histogram_quantile(0.9, rate(kuaixun_stage_seconds_sum[5m]))", "_sum, which is no bucket"),
        ("histogram_quantile(0.9, sum by (le) (kuaixun_stage_seconds_bucket))", "_bucket without rate or increase"),
        ("histogram_quantile(0.9, sum by (job) (rate(kuaixun_stage_seconds_bucket[5m])))", "summed without le"),
    ],
)
def test_a_metric_that_is_taken_for_one_of_another_kind_is_found(query: str, fault: str) -> None:
    assert faults(query) == []
    (found,) = misused(query)
    assert found.endswith(fault)
