"""Started as `python3 tests/sim/couchbase`: leaves no compiled files beside the sources."""
import os
import sys

sys.dont_write_bytecode = True
sys.path[0] = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))

from couchbase.main import main  # noqa: E402  (the path has to be set before)

sys.exit(main(sys.argv[1:]))
