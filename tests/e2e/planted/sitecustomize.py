"""Plants faults into the workers of a run, each in the clips that `PLANTED_FAULTS` names for it.

Python runs this at the start of every process with this folder on PYTHONPATH. `PLANTED_FAULTS` is
a JSON file: clip UUID to the fault's name. Each fault is one that the code could have.
"""

import os
import sys

if "PLANTED_FAULTS" in os.environ and sys.orig_argv[1:3] == ["-m", "clipfleet_workers"]:
    from tests.e2e import faults_of_meaning

    faults_of_meaning.plant(os.environ["PLANTED_FAULTS"])
