from .drafts import Draft as Draft
from .session import Session as Session
from .widget import SessionWidget as SessionWidget

__all__ = ["Draft", "Session", "SessionWidget"]
