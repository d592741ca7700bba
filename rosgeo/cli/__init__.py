"""The command line: one file a command, the options that commands share in `options`. Nothing heavy is imported before a command runs.

What is public are the commands themselves.
"""

__all__: list[str] = []
