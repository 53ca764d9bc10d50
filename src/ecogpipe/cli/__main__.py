"""Lets ``python -m ecogpipe.cli`` run the command."""

import sys

from ecogpipe.cli import main

sys.exit(main())
