"""Children that die are started again, ever later, unless they would end the same way again."""

import math
import random
import subprocess
import time

import pytest

from clipfleet.children import Child, Death, tend, terminate


class Ending(Child):
    """A child that ends at once with an exit code."""

    def __init__(self, code: int) -> None:
        super().__init__("ending")
        self._code = code

    def spawn(self) -> "subprocess.Popen[bytes]":
        return subprocess.Popen(["/bin/sh", "-c", f"exit {self._code}"])


class Lasting(Child):
    """A child that does not end, even when it is asked to."""

    leads_group = True

    def spawn(self) -> "subprocess.Popen[bytes]":
        deaf = "trap '' TERM; echo; while :; do sleep 0.1; done"
        process = subprocess.Popen(
            ["/bin/sh", "-c", deaf], stdout=subprocess.PIPE, start_new_session=True
        )
        assert process.stdout is not None
        process.stdout.readline()  # it does not listen from now on
        process.stdout.close()
        return process


def died(child: Child) -> Death:
    """The child's death, once it is started and has ended."""
    child.start()
    assert child.wait(10)
    death = child.death()
    assert death is not None
    return death


def test_each_start_is_waited_for_twice_as_long_as_the_last_up_to_a_minute(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(random, "uniform", lambda least, most: most)
    child = Ending(1)

    assert [died(child).wait_s for _ in range(9)] == [1, 2, 4, 8, 16, 32, 60, 60, 60]


def test_waits_are_spread_by_half(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(random, "uniform", lambda least, most: least)

    assert died(Ending(1)).wait_s == 0.5


def test_a_child_that_lived_long_was_well_and_its_next_death_is_its_first() -> None:
    child = Ending(1)
    child.deaths, child.well_s = 5, 0.0
    died(child)

    assert child.deaths == 1


def test_a_child_is_not_started_before_its_time() -> None:
    started: list[Child] = []
    child = Ending(1)
    died(child)

    tend([child], start=started.append, died=lambda *_: None)
    assert started == []

    child._start_at = time.monotonic()
    tend([child], start=started.append, died=lambda *_: None)
    assert started == [child]


def test_a_death_is_told_once() -> None:
    child, told = Ending(3), list[Death]()
    child.start()
    child.wait(10)
    for _ in range(2):
        tend([child], start=lambda _: None, died=lambda _, death: told.append(death))

    assert [death.code for death in told] == [3]


@pytest.mark.parametrize(
    ("code", "said"),
    [
        (1, "exit code 1, bug"),
        (7, "exit code 7, engine dead"),
        (99, "exit code 99, unknown"),
        (-9, "ended by SIGKILL"),
        (-40, "ended by signal 40"),
    ],
)
def test_a_death_is_said_by_the_name_of_its_exit_code(code: int, said: str) -> None:
    assert str(Death(code=code, wait_s=1.0)) == said


@pytest.mark.parametrize(("code", "final"), [(2, True), (6, True), (0, False), (7, False)])
def test_what_must_be_put_right_first_is_final(code: int, final: bool) -> None:
    assert Death(code=code, wait_s=1.0).is_final is final


def test_a_child_that_does_not_end_when_asked_is_killed_with_its_group() -> None:
    child = Lasting("lasting")
    child.start()

    assert terminate([child], within_s=0.2) == []
    assert child.exit_code() == -9


def test_a_child_whose_progress_says_whether_it_is_well_is_not_well_for_living_long() -> None:
    child = Ending(1)
    child.well_s = math.inf
    for _ in range(3):
        died(child)

    assert child.deaths == 3
