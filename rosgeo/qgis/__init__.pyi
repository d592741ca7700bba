from .install import find_profiles as find_profiles
from .install import script_path as script_path

__all__ = ["find_profiles", "script_path"]
