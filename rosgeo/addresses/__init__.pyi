from .secrets import file_name as file_name
from .secrets import plain_record as plain_record
from .secrets import without_secrets as without_secrets

__all__ = ["file_name", "plain_record", "without_secrets"]
