from .locks import holders as holders
from .locks import written_alone as written_alone
from .names import hidden_beside as hidden_beside
from .names import legal_name as legal_name
from .names import real_path as real_path
from .names import stem_of as stem_of
from .places import put as put
from .places import sync_folder as sync_folder
from .places import whole_file as whole_file

__all__ = ["hidden_beside", "holders", "legal_name", "put", "real_path", "stem_of", "sync_folder", "whole_file", "written_alone"]
