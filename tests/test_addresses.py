"""Secrets of addresses: taken off wherever they stand, and nothing else."""

from __future__ import annotations

import pickle
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rosgeo import errors
from rosgeo.addresses.secrets import file_name, plain_record, without_secrets


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("https://host/a/scene.tif?sp=rl&se=2026-12-01&sig=SECRET%2Babc%3D", "https://host/a/scene.tif"),
        ("https://host/a/scene.tif?layer=3&X-Amz-Credential=SECRET&X-Amz-Signature=SECRET", "https://host/a/scene.tif?layer=3"),
        ("https://host/x.tif?Expires=1&Signature=SECRET&Key-Pair-Id=K&GoogleAccessId=me", "https://host/x.tif"),
        ("https://host/x?f=tif&access_token=SECRET", "https://host/x?f=tif"),
        ("https://host/x.tif#access_token=SECRET", "https://host/x.tif"),
        ("https://me:SE:CRET@host:8080/x.tif", "https://host:8080/x.tif"),
        ("http:/me:SECRET@host/x.tif?sig=SECRET: no", "http:/host/x.tif: no"),
        ("ftp://SECRET@host/x.tif", "ftp://host/x.tif"),
        ("https://host/x.tif?SECRETSECRETSECRET1234567890", "https://host/x.tif"),
        ("/vsicurl/https://me:SECRET@host/x.tif?sig=SECRET", "/vsicurl/https://host/x.tif"),
        ("/vsizip/{/vsicurl/https://host/a.zip?token=SECRET}/x.tif", "/vsizip/{/vsicurl/https://host/a.zip}/x.tif"),
        (
            "/vsicurl?header.Authorization=Bearer%20SECRET&use_head=no&url=https%3A%2F%2Fme%3ASECRET%40host%2Fx.tif%3Fsig%3DSECRET",
            "/vsicurl?use_head=no&url=https://host/x.tif",
        ),
        ("PG:host=db user='me' password='SE CRET' dbname=gis", "PG:host=db user=... password=... dbname=gis"),
        ("MSSQL:server=.;UID=me;PWD=SECRET;database=x", "MSSQL:server=.;UID=...;PWD=...;database=x"),
        ("MySQL:gis,user=root,password=SECRET", "MySQL:gis,user=...,password=..."),
        ("OCI:scott/SECRET@db", "OCI:..."),
        ("postgresql://me:SECRET@db/gis", "postgresql://db/gis"),
        ("AccountName=a;AccountKey=SECRET==;x", "AccountName=a;AccountKey=...;x"),
        ("'/vsis3/b/k' failed: AWS_SECRET_ACCESS_KEY='SECRET'", "'/vsis3/b/k' failed: AWS_SECRET_ACCESS_KEY=..."),
        ("server said: Authorization: Basic U0VDUkVU; 403", "server said: Authorization: ...; 403"),
        (
            "<GDAL_WMS><UserPwd>me:SECRET</UserPwd><Code>AccessDenied</Code>",
            "<GDAL_WMS><UserPwd>...</UserPwd><Code>AccessDenied</Code>",
        ),
        ("https://me:SE/CR#ET@host/x.tif", "https://host/x.tif"),
        ("https://me:SECRET@host/x.tif?mail=a@b.c", "https://host/x.tif?mail=a@b.c"),
        ("https://host/my scene.tif?a=1&sig=SECRET", "https://host/my scene.tif?a=1&sig=..."),
        ("https://host/{z}?a=b&amp;apikey=SECRET", "https://host/{z}?a=b&amp;apikey=..."),
        ("https://host/x.tif;jsessionid=SECRET", "https://host/x.tif;jsessionid=..."),
        ("https://host/x.tif#SECRETSECRETSECRET1234567890", "https://host/x.tif"),
        ("https://host/token/SECRET123/x.tif", "https://host/token/.../x.tif"),
        ("/vsicurl/https://host/api_key=SECRET123/x.tif", "/vsicurl/https://host/api_key=.../x.tif"),
        ("https://host/x.tif?pw=SECRET&app_id=SECRET&app_code=SECRET&hdnts=exp=1~hmac=SECRET", "https://host/x.tif"),
        ("host=db password=SECRET dbname=gis", "host=db password=... dbname=gis"),
        ("Driver={SQL Server};PWD=SECRET", "Driver={SQL Server};PWD=..."),
        ("PGPASSWORD='SE CRET' x", "PGPASSWORD=... x"),
        ('{"password": "SECRET"}', '{"password":...}'),
        ("no eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.SECRET: 403", "no ...: 403"),
        ("a message that was cut: https://me:SECR", "a message that was cut: https://..."),
        (
            "no 'https://me:SECRET@h/a.tif?sig=SECRET' nor https://h/b.tif?k=v: 403",
            "no 'https://h/a.tif' nor https://h/b.tif: 403",
        ),
    ],
)
def test_secrets_go(text: str, expected: str) -> None:
    found = without_secrets(text)
    assert found == expected
    assert without_secrets(found) == found


@pytest.mark.parametrize(
    "text",
    [
        "/data/token/2024abcd1/x.tif", "https://host/S2A_20240101T1010/token/x.tif", "https://host/x.tif#page2", "https://h:80/a:b@c",
        "scene.tif", "C:\\Users\\me\\scene.tif", "/data/a?token=b.tif", "https://host:8080/p@2x.tif", "s3://bucket/key.tif",
        "https://host/p?id=0f8fad5bd9cd469fa16570867728950e&date=2024-05-01", "user = 'me' AND asset_key = 5 OR token = 'x'",
        "NETCDF:\"a.nc\":var", "GTIFF_DIR:2:a.tif", "HDF5:a.h5://group/x", "row 3: no such column; see --where", "",
    ],
)  # fmt: skip
def test_what_is_no_secret_stays(text: str) -> None:
    assert without_secrets(text) == text


@given(st.text(st.characters(exclude_characters=":=<?#@/", exclude_categories=["Cs"])))
def test_text_without_addresses_is_as_it_was(text: str) -> None:
    assert without_secrets(text) == text or "bearer" in text.lower()


def test_names_of_files() -> None:
    assert file_name("https://me:SECRET@host/a/scene.tif?sig=SE/CRET.x&b=c") == "scene.tif"
    assert file_name("/vsicurl?url=https%3A%2F%2Fhost%2Fx.tif&header.a=SECRET") == "x.tif"
    assert file_name("/data/what?.tif") == "what?.tif"


def test_errors_warnings_and_notes_hold_none() -> None:
    classes = [getattr(errors, name) for name in errors.__all__]
    for kind in classes:
        error = kind("https://me:SECRET@host/x.tif?sig=SECRET: no")
        error.add_note("as in https://me:SECRET@host/x.tif") if issubclass(kind, errors.RosgeoError) else None
        assert str(error) == "https://host/x.tif: no"
        assert str(pickle.loads(pickle.dumps(error))) == str(error)
        assert "SECRET" not in str(getattr(error, "__notes__", ""))


def test_records() -> None:
    record = {"inputs": {"scene": "https://h/x.tif?sig=SECRET"}, "n": 3, "list": ["https://a:SECRET@h/", None], "t": (1.5, True)}
    assert plain_record(record) == {"inputs": {"scene": "https://h/x.tif"}, "n": 3, "list": ["https://h/", None], "t": [1.5, True]}


@pytest.mark.parametrize(
    "text", ["a" * 50_000, "/token" * 5_000, "https://h/?a=b" + "&a=b" * 5_000, "PG:" + "a b " * 5_000, "password " * 3_000]
)
def test_long_texts_take_no_long_time(text: str) -> None:
    began = time.process_time()
    assert without_secrets(text) == text
    assert time.process_time() - began < 2
