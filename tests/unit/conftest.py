"""How hypothesis runs in these tests: the same cases each time, and nothing left on disk."""

import atexit
import tempfile

import hypothesis
import hypothesis.configuration

_home = tempfile.TemporaryDirectory(prefix="hypothesis-")
atexit.register(_home.cleanup)
hypothesis.configuration.set_hypothesis_home_dir(_home.name)

# Without a deadline: a case is as slow as the machine is busy.
hypothesis.settings.register_profile("tests", database=None, deadline=None, derandomize=True)
hypothesis.settings.load_profile("tests")
