"""Addresses and connection strings without what opens them: they go into results, records and messages, which are handed on.

User names, passwords, tokens, keys and signatures are taken off, with what else a signed address says of its signature (its time of expiry
changes with each). What is left tells which file it is, so that the same file by a fresh token is the same.
"""

from __future__ import annotations

import re
from pathlib import PurePath
from typing import Any
from urllib.parse import quote, unquote

__all__ = ["file_name", "plain_record", "without_secrets"]

_SECRET_PARTS = re.compile(
    "token|secret|signature|passw|pwd|userpw|apikey|accesskey|accountkey|privatekey|sharedkey|subscriptionkey|mapkey|credential"
    "|authoriz|authkey|bearer|cookie|session|jwt|accessid|keypairid|clientid|securitykey|hmac"
)
"""In the name of a parameter, without its punctuation."""

_SECRET_NAMES = re.compile(
    "user|username|userid|uid|login|auth|pass|key|code|pw|psw|sig|sign|ticket|otp|sas|hdnts|hdnea|appid|appcode|appkey|k|tk|pk|ak|sk|expires|expiry|expire|policy"
    "|se|st|sp|spr|sv|sr|si|sip|ss|srt|sdd|ske|skoid|sks|skt|sktid|skv|saoid|suoid|scid"
    "|awsaccesskeyid|googleaccessid|ossaccesskeyid|keyname"
)
"""Whole names of parameters, without their punctuation: anybody's; those of Azure's shared access signatures; AWS, Google, Alibaba."""

_SECRET_PREFIXES = ("x-amz-", "x-goog-", "x-oss-", "x-cos-", "x-ms-", "q-", "header.", "header_", "headers.")

_OF_A_FILE = re.compile(
    "id|item|uuid|guid|layers?|file|path|name|map|collection|dataset|asset|scene|bbox|date|time|version|versionid|generation"
)
"""Names of parameters that say which file it is, however random their value looks."""

_RANDOM = re.compile(r"(?=[^0-9]*[0-9])(?=[^A-Za-z]*[A-Za-z])[A-Za-z0-9_\-+/=.~%]{24,}$")
"""A value that is a key whatever its name is: long, with letters and digits."""

_END = r"\s'\"<>{}|\\^`"
_START = r"(?:[a-z][a-z0-9+.\-]{0,20}://|\b(?:https?|ftp):/)"
"""With one slash where a path was made of an address."""
_USER_INFO = re.compile(rf"(?i)({_START})[^/?#{_END}]*@")
_LONG_USER_INFO = re.compile(rf"(?i)({_START})[^/?#:@{_END}]+:(?!\d{{1,5}}(?:[/?#{_END}]|$))[^{_END}]*@")
"""A password with characters in it that ought to be written by %."""
_CUT_USER_INFO = re.compile(r"(?i)\b([a-z][a-z0-9+.\-]{0,20}://)[^/?#\s:@\[\]]+:(?!\d{1,5}$)[^/?#\s@]*$")
"""At the end of a text that was cut short: a password without the @ that ends it."""
_QUERY = re.compile(rf"(?i)((?:{_START}|/vsi)[^?{_END}]*)\?([^{_END}]*?)(?=[.,:;)\]]*(?:[{_END}]|$))")
_FURTHER = re.compile(rf"([?&;])([A-Za-z][\w.%\-\[\]]*)=([^?&;{_END}]+)")
"""A parameter where no query was seen: behind a blank in an address, in a template of one, or after ``;`` in a path."""
_IN_PATH = re.compile(
    r"(?i)(/(?:(?:access|api|auth)?[\-_]?token|api[\-_]?key|signature|sig|sas|jwt)[/=])(?=[^/]*[0-9])[A-Za-z0-9_\-+=.~%]{8,}(?=/)"
)
"""A key as a folder of an address, behind one that says so."""
_PATH = re.compile(rf"(?i)(?:{_START}|/vsi)[^?#{_END}]*")
_JWT = re.compile(r"\beyJ[A-Za-z0-9_\-]{8,}\.[A-Za-z0-9_\-]+\.[A-Za-z0-9_\-]*")
_PASSWORD = re.compile(r"(?i)\b(\w*(?:password|passwd|pwd)(?:\s*=|[\"']\s*:))\s*('[^']+'|\"[^\"]+\"|[^\s;,&'\"}]+)")
_FRAGMENT = re.compile(rf"(?i)([a-z][a-z0-9+.\-]{{0,20}}://[^#{_END}]*)#([^{_END}]+)")
_CONNECTION = re.compile(
    r"(?i)\b(?:PG|PostgreSQL|MySQL|MSSQL|ODBC|HANA|MONGODBV3|MONGODB|IDB|INGRES|WMS|WFS|WCS|NGW|PLMOSAIC|PLSCENES|CARTO|ES):"
)
_ORACLE = re.compile(rf"(?i)\b(OCI|GEORASTER|GEOR|SDE):[^{_END}]+")
_KEY_VALUE = re.compile(r"(?i)([a-z][a-z0-9_.\- ]{0,40}?)\s*=\s*('(?:[^'\\]|\\.)*'|\"(?:[^\"\\]|\\.)*\"|[^\s;,&'\"]+)")
_NAMED = re.compile(
    r"\b((?:AWS|AZURE|GDAL|GS|GOA2|OSS|SWIFT|CPL|EEDA|VSI)_[A-Z0-9_]*(?:KEY|KEY_ID|TOKEN|SECRET|PASSWORD|USERPWD|SAS|STRING|HEADERS?|BEARER)"
    r"|AccountKey|SharedAccessSignature|SharedAccessKey)\s*=\s*('[^']*'|\"[^\"]*\"|[^\s;,'\"]+)"
)
_HEADER = re.compile(
    r"(?i)\b(Authorization|Proxy-Authorization|Cookie|X-Api-Key|Ocp-Apim-Subscription-Key)"
    r"\s*[:=]\s*(?:(?:Bearer|Basic|Token|Digest)\s+)?[^\s'\",;]+"
)
_BEARER = re.compile(r"\b(Bearer)\s+[A-Za-z0-9_\-+/=.~]{8,}")
_ELEMENT = re.compile(r"<([A-Za-z][\w.\-]*)>([^<]*)</\1>")


def without_secrets(text: str) -> str:
    """A text with the addresses and connection strings in it as anybody may read them.

    Parameters
    ----------
    text : str
        An address, a name that GDAL opens, or any message in which some stand.

    Returns
    -------
    str
        Without user names and passwords, and without parameters that are secret by their name or look like a key; an address without
        parameters ends before the ``?``. Values of connection strings, headers and XML are ``...`` instead. Text without addresses is as
        it was.
    """
    text = _LONG_USER_INFO.sub(r"\1", _USER_INFO.sub(r"\1", text))
    text = _QUERY.sub(lambda m: m[1] + _query(m[2]), text)
    text = _FRAGMENT.sub(lambda m: m[1] + _query(m[2], mark="#"), text)
    text = _JWT.sub("...", _CUT_USER_INFO.sub(r"\1...", text))
    if "://" in text or "/vsi" in text:
        text = _PATH.sub(lambda m: _IN_PATH.sub(r"\1...", m[0]), text)
        text = _FURTHER.sub(lambda m: f"{m[1]}{m[2]}=..." if _is_secret(unquote(m[2])) else m[0], text)
    text = _HEADER.sub(r"\1: ...", _BEARER.sub(r"\1 ...", text))
    text = _ELEMENT.sub(lambda m: f"<{m[1]}>...</{m[1]}>" if _names_a_secret(m[1]) else m[0], text)
    text = _NAMED.sub(r"\1=...", _ORACLE.sub(r"\1:...", text))
    text = _PASSWORD.sub(r"\1...", text)
    start = _CONNECTION.search(text)
    if start is None:
        return text
    return text[: start.end()] + _KEY_VALUE.sub(_key_value, text[start.end() :])


def _key_value(match: re.Match[str]) -> str:
    name = match[1].strip()
    return f"{match[1]}=..." if _is_secret(name) else match[0]


def _is_secret(name: str) -> bool:
    return bool(_SECRET_NAMES.fullmatch(_bare(name))) or name.lower().startswith(_SECRET_PREFIXES) or _names_a_secret(name)


def _names_a_secret(name: str) -> bool:
    """Whether a name says so in full; the short ones of parameters are other things elsewhere."""
    bare = _bare(name)
    return bare in ("user", "username", "stringtosign", "canonicalrequest") or bool(_SECRET_PARTS.search(bare))


def _bare(name: str) -> str:
    return re.sub(r"[^a-z0-9]", "", name.lower())


def _query(query: str, mark: str = "?") -> str:
    """The parameters of an address that are no secret, with their mark; nothing where there are none."""
    kept = [p for p in (_parameter(part) for part in re.split(r"&(?:amp;)?|;", query)) if p]
    return mark + "&".join(kept) if kept else ""


def _parameter(part: str) -> str:
    name, equals, value = part.partition("=")
    if _is_secret(unquote(name)):
        return ""
    plain = unquote(value)
    if "://" in plain or plain.startswith("/vsi"):
        # An address within the address, as that of /vsicurl?url=...
        return f"{name}={quote(without_secrets(plain), safe='/:')}"
    of_a_file = equals and _OF_A_FILE.fullmatch(_bare(name))
    return "" if _RANDOM.match(value if equals else part) and not of_a_file else part


def plain_record(value: Any) -> Any:
    """A record, JSON, with every text of it `without_secrets`."""
    if isinstance(value, str):
        return without_secrets(value)
    if isinstance(value, dict):
        return {key: plain_record(v) for key, v in value.items()}
    return [plain_record(v) for v in value] if isinstance(value, list | tuple) else value


def file_name(address: str) -> str:
    """The name of the file that a path or an address leads to: without folders, secrets and parameters."""
    plain = without_secrets(address)
    inner = re.search(r"^/vsi\w+\?(?:.*&)?url=([^&]*)", plain)
    plain = unquote(inner[1]) if inner else plain
    is_address = "://" in plain or plain.startswith("/vsi")
    return PurePath(plain.partition("?")[0].partition("#")[0] if is_address else plain).name
