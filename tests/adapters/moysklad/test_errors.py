"""Which answers are for good, which are worth another try, and which leave a write in doubt (CONTRACT-MOYSKLAD 1.8, 2.3)."""

from __future__ import annotations

from typing import Any

import pytest

from adapters.moysklad.errors import MAX_RETRY_AFTER_MS, Answer, ApiRefusal, ApiUnavailable, problem_of


def answer(status: int, *codes: int, kind: str = "json", headers: dict[str, str] | None = None, body: Any = None) -> Answer:
    if body is None and kind == "json":
        body = {"errors": [{"error": f"Ошибка {code}", "code": code} for code in codes]}
    return Answer(status=status, headers=headers or {}, body=body, kind=kind)


@pytest.mark.parametrize("status", [200, 201, 204])
def test_success(status: int) -> None:
    assert problem_of(Answer(status=status, headers={}, body=None, kind="empty"), write=True) is None


@pytest.mark.parametrize(
    ("status", "code"),
    [(401, 1056), (403, 55008), (412, 3000), (412, 3006), (404, 1021), (404, 1002), (400, 2010), (405, 1039), (413, 1044)],
)
def test_refused_for_good(status: int, code: int) -> None:
    problem = problem_of(answer(status, code), write=True)
    assert isinstance(problem, ApiRefusal)
    assert (problem.code, problem.status, problem.error) == (code, status, f"Ошибка {code}")


@pytest.mark.parametrize(("status", "kind"), [(415, "empty"), (401, "html"), (413, "html"), (404, "empty"), (410, "empty")])
def test_refused_without_a_code_is_judged_by_its_status(status: int, kind: str) -> None:
    problem = problem_of(answer(status, kind=kind), write=True)
    assert isinstance(problem, ApiRefusal)
    assert problem.code is None
    assert str(status) in problem.error
    assert problem.remedy


@pytest.mark.parametrize(
    ("status", "code", "ambiguous", "retry_after_ms"),
    [
        (429, 1049, False, 3_000),
        (429, 1073, False, 500),
        (401, 1048, False, 60_000),
        (412, 1065, False, 300),
        (409, 1065, False, 300),
        (503, 1074, True, None),
        (503, 1095, True, 60_000),
        (429, 1095, False, 60_000),
        (500, 1999, True, None),
        (400, 1095, True, 60_000),
        (200, 1999, True, None),
    ],
)
def test_retryable_codes(status: int, code: int, ambiguous: bool, retry_after_ms: int | None) -> None:
    problem = problem_of(answer(status, code), write=True)
    assert isinstance(problem, ApiUnavailable)
    assert (problem.ambiguous, problem.retry_after_ms) == (ambiguous, retry_after_ms)


@pytest.mark.parametrize("status", [500, 502, 503, 504])
@pytest.mark.parametrize("kind", ["html", "empty", "other"])
def test_gateway_pages_leave_a_write_in_doubt_and_a_read_not(status: int, kind: str) -> None:
    for write in (True, False):
        problem = problem_of(answer(status, kind=kind), write=write)
        assert isinstance(problem, ApiUnavailable)
        assert problem.ambiguous is write


@pytest.mark.parametrize("kind", ["html", "other"])
@pytest.mark.parametrize("status", [403, 404, 405])
def test_a_page_of_somebody_on_the_way_proves_nothing(status: int, kind: str) -> None:
    problem = problem_of(answer(status, kind=kind), write=True)
    assert isinstance(problem, ApiUnavailable)
    assert not problem.ambiguous


@pytest.mark.parametrize(
    ("headers", "retry_after_ms"),
    [
        ({"X-Lognex-Retry-After": "2500"}, 2_500),
        ({"X-Lognex-Retry-After": "0", "X-Lognex-Reset": "1200"}, 1_200),
        ({"Retry-After": "2"}, 2_000),
        ({"X-Lognex-Retry-After": "99999999999"}, MAX_RETRY_AFTER_MS),
        ({"X-Lognex-Retry-After": "Wed, 21 Oct"}, 1_000),
        ({}, 1_000),
    ],
)
def test_how_long_to_wait_after_429(headers: dict[str, str], retry_after_ms: int) -> None:
    problem = problem_of(answer(429, kind="empty", headers=headers), write=True)
    assert isinstance(problem, ApiUnavailable)
    assert (problem.ambiguous, problem.retry_after_ms) == (False, retry_after_ms)


def test_several_errors_in_one_answer_are_all_told() -> None:
    body = {
        "errors": [
            {"error": "поле 'name' не может быть пустым", "code": 3000, "parameter": "name"},
            {"error": "поле 'agent' не может быть пустым", "code": 3000, "parameter": "agent"},
        ]
    }
    problem = problem_of(answer(412, body=body), write=True)
    assert isinstance(problem, ApiRefusal)
    assert problem.parameters == ("name", "agent")
    assert "name" in problem.error
    assert "agent" in problem.error


def test_errors_under_a_success_status_are_errors() -> None:
    problem = problem_of(answer(200, 1056), write=False)
    assert isinstance(problem, ApiRefusal)
    assert problem.code == 1056


@pytest.mark.parametrize(
    ("status", "codes", "headers", "retry_after_ms"),
    [
        (429, (1049,), {}, 4_800),
        (429, (1073,), {}, 500),
        (429, (), {"X-Lognex-Auth": "429005"}, 500),
        (503, (1095,), {}, 60_000),
        (503, (1074,), {}, None),
        (409, (1065,), {}, 300),
        (503, (), {"Retry-After": "7"}, 7_000),
    ],
)
def test_when_the_limit_resets_is_not_when_moysklad_is_back(
    status: int, codes: tuple[int, ...], headers: dict[str, str], retry_after_ms: int | None
) -> None:
    """That header may stand in every answer (CONTRACT-MOYSKLAD 2.2)."""
    problem = problem_of(answer(status, *codes, headers={**headers, "X-Lognex-Reset": "4800"}), write=True)
    assert isinstance(problem, ApiUnavailable)
    assert problem.retry_after_ms == retry_after_ms


@pytest.mark.parametrize("body", [None, 5, "x", [], {"errors": 7}, {"errors": ["text", None, {}]}, [{"errors": [{"code": "x"}]}]])
def test_any_body_is_survived(body: Any) -> None:
    problem = problem_of(Answer(status=412, headers={}, body=body, kind="json"), write=True)
    assert isinstance(problem, ApiRefusal)
    assert problem.error


def test_not_found_is_about_objects_not_paths() -> None:
    for status, codes, expected in ((404, (1021,), True), (404, (), True), (412, (1021,), True), (404, (1002,), False)):
        problem = problem_of(answer(status, *codes), write=False)
        assert isinstance(problem, ApiRefusal)
        assert problem.not_found is expected, (status, codes)
