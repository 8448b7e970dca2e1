"""Bandwidth's and Plivo's official Python SDKs against the emulator. Run by run.py.

Nothing is changed in the SDKs. Bandwidth's takes its host and token URL as settings; `ignore_operation_servers` makes
it use that host for media too, where a table of servers wins otherwise. Plivo's has no such setting that lasts: `Client.base_uri` is set back to a constant of its module by every request but an upload, so that
constant is what is set here.
"""

import contextlib
import io
import json
import sys
import tempfile
import urllib.request
from pathlib import Path

import bandwidth
import plivo
import plivo.rest.client

BASE_URL, PASSWORD = sys.argv[1:3]
ACCOUNT = "9900000"
AUTH_ID = "MAZTQ4NJRHOWY3ODK2MT"
PNG = b"\x89PNG\r\n\x1a\n" + bytes(range(256))
passed = 0


def check(claim, ok, detail=""):
    global passed
    if not ok:
        sys.exit(f"NOT SO: {claim} {detail}")
    passed += 1
    print(f"ok: {claim}")


def check_raises(claim, kind, call):
    try:
        result = call()
    except kind as error:
        check(claim, True)
        return error
    sys.exit(f"NOT SO: {claim}: no {kind.__name__} but {result!r}")


def control(path, body=None):
    data = json.dumps(body).encode() if body is not None else None
    with urllib.request.urlopen(urllib.request.Request(f"{BASE_URL}/_emulator/{path}", data=data)) as response:
        return json.load(response)


def bandwidth_api(**credentials):
    configuration = bandwidth.Configuration(
        host=f"{BASE_URL}/api/v2",
        ignore_operation_servers=True,
        access_token_url=f"{BASE_URL}/api/v1/oauth2/token",
        **credentials,
    )
    return bandwidth.MediaApi(bandwidth.ApiClient(configuration))


def check_bandwidth():
    api = bandwidth_api(username="bwuser", password=PASSWORD)
    for claim in ("uploads", "uploads again under the same name"):
        reply = api.upload_media_with_http_info(
            ACCOUNT, "logo.png", PNG, _content_type="image/png", cache_control="no-cache"
        )
        check(f"bandwidth {claim}", reply.status_code == 204, reply)
    reply = api.get_media_with_http_info(ACCOUNT, "logo.png")
    check("bandwidth downloads the same bytes", bytes(reply.data) == PNG, reply.data)
    check("bandwidth hands back type and cache control",
          (reply.headers["content-type"], reply.headers["cache-control"]) == ("image/png", "no-cache"), reply.headers)

    listed = api.list_media(ACCOUNT)
    check("bandwidth lists it",
          [(media.media_name, media.content_length) for media in listed] == [("logo.png", len(PNG))], listed)
    check("bandwidth lists its URL",
          listed[0].content == f"{BASE_URL}/api/v2/users/{ACCOUNT}/media/logo.png", listed[0].content)
    check_bandwidth_paging(api)
    check_bandwidth_names(api)
    check_bandwidth_refusals(api)

    for claim in ("deletes", "deletes what is not there"):
        reply = api.delete_media_with_http_info(ACCOUNT, "logo.png")
        check(f"bandwidth {claim}", reply.status_code == 204, reply)
    check_raises("bandwidth does not find what was deleted", bandwidth.exceptions.NotFoundException,
                 lambda: api.get_media(ACCOUNT, "logo.png"))

    api.upload_media(ACCOUNT, "short.txt", b"abc", _content_type="text/plain")
    control("clock", {"advance": "48h"})
    check_raises("bandwidth forgets after 48 hours", bandwidth.exceptions.NotFoundException,
                 lambda: api.get_media(ACCOUNT, "short.txt"))


def check_bandwidth_paging(api):
    api.upload_media(ACCOUNT, "second.png", PNG, _content_type="image/png")
    control("switches", {"bandwidth": {"page_size": 1}})
    first = api.list_media_with_http_info(ACCOUNT)
    token = first.headers["continuation-token"]
    second = api.list_media_with_http_info(ACCOUNT, token)
    check("bandwidth pages by continuation token",
          [page.data[0].media_name for page in (first, second)] == ["logo.png", "second.png"])
    check("bandwidth ends its pages without a token", "continuation-token" not in second.headers)
    control("switches", {"bandwidth": {"page_size": 1000}})


def check_bandwidth_names(api):
    upload = lambda: api.upload_media(ACCOUNT, "2024/1/logo.png", PNG, _content_type="image/png")
    # The SDK encodes the slash, which the provider does not take.
    check_raises("bandwidth refuses an encoded slash", bandwidth.exceptions.BadRequestException, upload)
    control("switches", {"bandwidth": {"strict_slash": False}})
    upload()
    check("bandwidth decodes a slash where it is lenient", bytes(api.get_media(ACCOUNT, "2024/1/logo.png")) == PNG)
    control("switches", {"bandwidth": {"strict_slash": True}})
    for name in ("my logo.png", "löwe-狮子.png", "a#b.png", "100%.png", "a?b&c=d.png", "a!$'()*,;:@=~_-.png"):
        api.upload_media(ACCOUNT, name, PNG, _content_type="image/png")
        names = [media.media_name for media in api.list_media(ACCOUNT)]
        check(f"bandwidth stores {name!r}", name in names and bytes(api.get_media(ACCOUNT, name)) == PNG, names)


def check_bandwidth_refusals(api):
    check_raises("bandwidth refuses octet-stream", bandwidth.exceptions.ApiException,
                 lambda: api.upload_media(ACCOUNT, "a.png", PNG, _content_type="application/octet-stream"))
    wrong = bandwidth_api(username="bwuser", password="wrong")
    error = check_raises("bandwidth refuses a wrong password", bandwidth.exceptions.UnauthorizedException,
                         lambda: wrong.list_media(ACCOUNT))
    check("bandwidth says so in its error's words", error.data.type == "unauthorized", error.data)
    control("switches", {"bandwidth": {"accounts": [ACCOUNT]}})
    check_raises("bandwidth forbids another account", bandwidth.exceptions.ForbiddenException,
                 lambda: api.list_media("5500012"))
    oauth = bandwidth_api(client_id="client", client_secret=PASSWORD)
    check("bandwidth takes a token", len(oauth.list_media(ACCOUNT)) > 0)


def upload(client, files):
    # The SDK prints every path.
    with contextlib.redirect_stdout(io.StringIO()):
        return client.media.upload([str(file) for file in files])


def check_plivo(folder):
    plivo.rest.client.PLIVO_API_BASE_URI = f"{BASE_URL}/v1/Account"
    client = plivo.RestClient(AUTH_ID, PASSWORD)
    files = [folder / "logo.png", folder / "my löwe.jpg"]
    for file in files:
        file.write_bytes(PNG)
    reply = upload(client, files)
    check("plivo uploads two files", [media["status_code"] for media in reply["objects"]] == [201, 201], reply)
    check("plivo echoes names", [media["file_name"] for media in reply["objects"]] == ["logo.png", "my löwe.jpg"], reply)
    uploaded = reply["objects"][0]
    one = client.media.get(uploaded["media_id"])
    fields = ("media_id", "file_name", "content_type", "size", "upload_time", "media_url")
    check("plivo gets one", [one[field] for field in fields] == [uploaded[field] for field in fields], one)
    listed = client.media.list(limit=1, offset=1)
    check("plivo lists by limit and offset",
          (listed["meta"]["total_count"], len(listed["objects"])) == (2, 1)
          and listed["objects"][0]["file_name"] == "my löwe.jpg", listed)
    with urllib.request.urlopen(uploaded["media_url"]) as response:
        check("plivo serves the bytes to anybody", response.read() == PNG)
    check_plivo_refusals(client, files[0])

    sent = client.messages.create(src="14155550100", dst="14155550101", text="", type_="mms",
                                  media_ids=[uploaded["media_id"]])
    check("plivo takes a message with media", len(sent["message_uuid"]) == 1, sent)
    control("clock", {"advance": "6h"})
    check("plivo keeps what was used", client.media.get(uploaded["media_id"])["file_name"] == "logo.png")
    check_raises("plivo forgets what was not used after 6 hours", plivo.exceptions.ResourceNotFoundError,
                 lambda: client.media.get(reply["objects"][1]["media_id"]))


def check_plivo_refusals(client, file):
    check_raises("plivo refuses 11 files", plivo.exceptions.ValidationError,
                 lambda: upload(client, [file] * 11))
    check_raises("plivo does not find an unknown media", plivo.exceptions.ResourceNotFoundError,
                 lambda: client.media.get("801c2056-33ab-499c-80ef-58b574a462a2"))
    check_raises("plivo refuses a wrong token", plivo.exceptions.AuthenticationError,
                 lambda: plivo.RestClient(AUTH_ID, "wrong").media.list())


check_bandwidth()
with tempfile.TemporaryDirectory() as temporary:
    check_plivo(Path(temporary))
print(f"{passed} checks passed")
