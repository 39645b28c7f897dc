#!/usr/bin/env python
"""Django's command line for this project."""

import os
import sys

from django.core.exceptions import ImproperlyConfigured
from django.core.management import execute_from_command_line


def main() -> None:
    """Run the command; a wrong setting is told in plain lines, without a traceback."""
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "timerecord.settings")
    try:
        execute_from_command_line(sys.argv)
    except ImproperlyConfigured as problem:
        sys.exit(f"timerecord cannot start.\n{problem}")


if __name__ == "__main__":
    main()
