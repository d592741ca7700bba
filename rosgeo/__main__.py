"""``python -m rosgeo``."""

from rosgeo.cli.main import main

if __name__ == "__main__":
    main(prog_name="rosgeo")
