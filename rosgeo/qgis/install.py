"""Where QGIS looks for Processing scripts, and rosgeo's script put there."""

from __future__ import annotations

import configparser
import json
import os
import shutil
import sys
from collections.abc import Mapping
from importlib.resources import as_file, files
from pathlib import Path

from rosgeo.errors import OptionError, OutputError

__all__ = ["SCRIPT", "find_profiles", "install", "profile_homes", "remove", "script_path"]

SCRIPT = "rosgeo_processing.py"
SETTINGS = "rosgeo_settings.json"
_VERSIONS = ("QGIS3", "QGIS4")
_MARK = "rosgeo in QGIS's Processing toolbox"


def script_path() -> Path:
    """The script, in this installation of rosgeo."""
    with as_file(files("rosgeo.qgis") / SCRIPT) as path:
        return path


def profile_homes(platform: str, environment: Mapping[str, str], home: Path) -> list[Path]:
    """Folders in which QGIS may keep its profiles, by its documentation ("User Profiles").

    Parameters
    ----------
    platform : str
        As `sys.platform`.
    environment : mapping
        As `os.environ`: QGIS_CUSTOM_CONFIG_PATH, XDG_DATA_HOME, APPDATA are looked at.
    home : path
        The user's folder.
    """
    if environment.get("QGIS_CUSTOM_CONFIG_PATH"):
        return [Path(environment["QGIS_CUSTOM_CONFIG_PATH"]) / "profiles"]
    if platform == "win32":
        roots = [Path(environment.get("APPDATA") or home / "AppData" / "Roaming") / "QGIS"]
    elif platform == "darwin":
        roots = [home / "Library" / "Application Support" / "QGIS"]
    else:
        roots = [Path(environment.get("XDG_DATA_HOME") or home / ".local" / "share") / "QGIS"]
        # Flatpak keeps an application's data apart.
        roots.append(home / ".var" / "app" / "org.qgis.qgis" / "data" / "QGIS")
    return [root / version / "profiles" for root in roots for version in _VERSIONS]


def find_profiles(
    platform: str = sys.platform, environment: Mapping[str, str] = os.environ, home: Path | None = None
) -> list[Path]:
    """The profile that each QGIS of this user starts with.

    Returns
    -------
    list of Path
        Folders of profiles that exist.
    """
    found = []
    for folder in profile_homes(platform, environment, home or Path.home()):
        profile = folder / _default_profile(folder)
        if profile.is_dir():
            found.append(profile)
    return found


def _default_profile(folder: Path) -> str:
    ini = configparser.ConfigParser(interpolation=None)
    try:
        ini.read(folder / "profiles.ini", encoding="utf-8")
    except (OSError, configparser.Error, UnicodeDecodeError):
        return "default"
    return ini.get("core", "defaultProfile", fallback="default").strip('"') or "default"


def script_folders(profile: str | None, folder: str | None) -> list[Path]:
    """The folders of scripts that the options ask for, made or not.

    Parameters
    ----------
    profile : str or None
        A profile's folder.
    folder : str or None
        A folder of scripts.

    Raises
    ------
    OptionError
        Both are given, or one that is not there, or none and no QGIS is found.
    """
    if profile is not None and folder is not None:
        raise OptionError("--profile and --folder were both given; expected one of them")
    for option, value in (("--profile", profile), ("--folder", folder)):
        if value is not None and not Path(value).is_dir():
            raise OptionError(
                f"{option} {value}: no such folder; QGIS names it under Settings > User Profiles > Open Active Profile Folder"
            )
    if folder is not None:
        return [Path(folder)]
    profiles = [Path(profile)] if profile is not None else find_profiles()
    if not profiles:
        places = ", ".join(str(p) for p in profile_homes(sys.platform, os.environ, Path.home()))
        raise OptionError(f"no QGIS profile was found (looked in {places}). Start QGIS once, or pass --profile or --folder")
    return [p / "processing" / "scripts" for p in profiles]


def install(folder: Path, command: list[str]) -> Path:
    """Put the script into a folder, with the settings that name the program.

    Parameters
    ----------
    folder : path
        Made where it does not exist.
    command : list of str
        How rosgeo is run. ``PYTHONPATH`` is kept with it, since QGIS's own is not handed on.

    Returns
    -------
    Path
        The script.

    Raises
    ------
    OutputError
        The folder cannot be written, or holds another script of the name.
    """
    target = folder / SCRIPT
    settings: dict[str, object] = {"command": command}
    places = [os.path.abspath(place) for place in os.environ.get("PYTHONPATH", "").split(os.pathsep) if place]
    if places:
        settings["environment"] = {"PYTHONPATH": os.pathsep.join(places)}
    try:
        folder.mkdir(parents=True, exist_ok=True)
        _require_ours(target)
        # Settings first: QGIS may load the script as soon as it is there.
        (folder / SETTINGS).write_text(json.dumps(settings, indent=1) + "\n", encoding="utf-8")
        shutil.copyfile(script_path(), target)
    except OSError as error:
        if isinstance(error, OutputError):
            raise
        raise OutputError(f"{folder} cannot be written: {error.strerror or error}") from error
    return target


def remove(folder: Path) -> bool:
    """Take script and settings out of a folder; False where there is none."""
    target = folder / SCRIPT
    if not target.exists():
        return False
    _require_ours(target)
    try:
        target.unlink()
        (folder / SETTINGS).unlink(missing_ok=True)
    except OSError as error:
        raise OutputError(f"{target} cannot be removed: {error.strerror or error}") from error
    return True


def _require_ours(path: Path) -> None:
    if path.exists() and _MARK not in path.read_text(encoding="utf-8", errors="replace")[:400]:
        raise OutputError(f"{path} is not rosgeo's script; move it away first")
