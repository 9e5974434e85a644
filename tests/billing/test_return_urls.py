"""Where checkout and portal send people back to."""

from app.billing.return_urls import origin_of

from ..shop import ORIGIN, USER, shop

HOSTILE = [
    "https://app.example.com@evil.test/",
    "https://app.example.com:443@evil.test/",
    "https://app.example.com:pass@evil.test/",
    "https://evil.test\\@app.example.com/",
    "https://app.example.com\\@evil.test/",
    "https://app.example.com/\\evil.test",
    "https:\\\\app.example.com/",
    "//app.example.com/",
    "https:app.example.com/",
    "https:///app.example.com/",
    "https://app.example.com//evil.test/",
    "https://app.example.com.evil.test/",
    "https://app.example.com./",
    "https://app.example.com:8443/",
    "https://app.example.com:0443/",
    "https://app.example.com:/",
    "http://app.example.com/",
    "https://APP.example.com\t/",
    "https://app.example.com/\n",
    "https://app.exa\tmple.com/",
    "\x01https://app.example.com/",
    " https://app.example.com/",
    "https://app.example.com/\x00",
    "https://аpp.example.com/",
    "https://app。example.com/",
    "https://app.example.com/ü",
    "https://app%2eexample.com/",
    "javascript://app.example.com/%0aalert(1)",
    "javascript:alert(1)",
    "data:text/html,hello",
    "/welcome",
    "",
    "https://evil.test/?https://app.example.com/",
    "https://evil.test#@app.example.com/",
    "https://app.example.com/" + 2000 * "a",
    "https://127.0.0.1:8000/",
    "http://127.0.0.1:80000/",
    "http://127.0.0.1/",
    "http://2130706433:8000/",
    "https://aPP.example.\u212aom/",
]


async def test_people_are_sent_back_to_allowed_origins_alone(sqlite_database: str) -> None:
    async with shop(sqlite_database) as here:
        await here.opened()
        for url in HOSTILE:
            for response in (
                await here.order(success_url=url),
                await here.order(cancel_url=url),
                await here.post("portal-sessions", {"user_id": USER, "return_url": url}),
            ):
                assert response.status_code == 422, repr(url)
                assert "ALLOWED_RETURN_ORIGINS" in response.json()["detail"], repr(url)
        assert len(here.account.sessions) == 1
        for url in (
            ORIGIN,
            f"{ORIGIN}:443/a?b=//c#d",
            "HTTPS://App.Example.com/x",
            "http://127.0.0.1:8000?x",
        ):
            assert (await here.order(success_url=url, cancel_url=url)).status_code == 200, url


async def test_without_origins_nobody_is_sent_anywhere(sqlite_database: str) -> None:
    async with shop(sqlite_database, allowed_return_origins=()) as here:
        refused = await here.order()
        assert refused.status_code == 422 and "ALLOWED_RETURN_ORIGINS" in refused.json()["detail"]


def test_letters_that_fold_to_ascii_are_no_ascii() -> None:
    assert origin_of("https://kiosk.example.com/") == ("https", "kiosk.example.com", "443")
    assert origin_of("https://\u212aiosk.example.com/") is None
    assert origin_of("http\u017f://kiosk.example.com/") is None
