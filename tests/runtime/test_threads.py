import threading
import time

import pytest

from ecogpipe.runtime.threads import Threads, one_by_one


@pytest.fixture(params=[None, 1, 3])
def each(request):
    if request.param is None:
        yield one_by_one
    else:
        with Threads(request.param, "test") as threads:
            yield threads.each


def test_every_item_is_taken_once_and_is_done_on_return(each):
    taken = []

    def take(item):
        time.sleep(0.001)
        taken.append(item)

    for _ in range(2):
        taken.clear()
        each(take, range(20))
        assert sorted(taken) == list(range(20))
    each(take, [])
    assert len(taken) == 20


def test_an_error_is_raised_when_no_thread_works_any_more_and_the_rest_is_left():
    at_work, begun = threading.Event(), []

    def fail_at_three(item):
        begun.append(item)
        if item == 3:
            raise ValueError("three")
        at_work.set()
        time.sleep(0.02)
        at_work.clear()

    with Threads(2, "test") as threads:
        with pytest.raises(ValueError, match="three"):
            threads.each(fail_at_three, range(100))
        assert not at_work.is_set()
        assert len(begun) < 10
