"""What asyncssh leaves unsaid in the loop of a line: told, but for what is nothing."""

from __future__ import annotations

import logging
from importlib.util import find_spec

import pytest

from benchharness.launch.ssh.line import SshLine
from benchharness.launch.ssh.route import SshRoute, address

pytestmark = pytest.mark.skipif(find_spec("asyncssh") is None, reason="asyncssh is not installed")


@pytest.mark.parametrize(("trouble", "told"), [(KeyError(None), 0), (KeyError("stdin"), 1), (ValueError("x"), 1)])
def test_the_late_end_of_a_stream_is_nothing_and_all_else_is_told(
    trouble: Exception, told: int, caplog: pytest.LogCaptureFixture
) -> None:
    """A command that ends while its input is closed makes asyncssh look for a stream that it has let go of."""

    def callback() -> None:
        raise trouble

    line = SshLine(SshRoute(name="pi5", python="python3", system="linux", address=address("ssh://pi5.lab")))
    with caplog.at_level(logging.ERROR, "asyncio"):
        line._loop.call_soon_threadsafe(callback)
        line.close()  # what was to be called before is called
    assert len(caplog.records) == told
