"""A file's name is for people to read: one line, no path, nothing that hides."""

import pytest

from app.files import names
from app.files.errors import FileNameRefused


@pytest.mark.parametrize(
    ("given", "shown"),
    [
        ("screenshot.png", "screenshot.png"),
        ("  two   words .png", "two words .png"),
        ("снимок экрана.jpg", "снимок экрана.jpg"),
        ("cafe\u0301.txt", "café.txt"),
        ("a\r\nSet-Cookie: b.png", "aSet-Cookie: b.png"),
        ("a\0b.png", "ab.png"),
        ("photo\u202egnp.exe", "photognp.exe"),
        ("\u2066\u200bhidden\u2069.pdf", "hidden.pdf"),
        ("..", "file"),
        ("...png", "png"),
        (".htaccess", "htaccess"),
        ("", "file"),
        ("\u200e", "file"),
        ("a" * 500 + ".jpeg", "a" * 115 + ".jpeg"),
        ("a" * 500, "a" * 120),
    ],
)
def test_a_name_is_cleaned_for_people_to_read(given: str, shown: str) -> None:
    assert names.display_name(given) == shown


@pytest.mark.parametrize(
    "given", ["../../etc/passwd", "/etc/passwd", "a/b.png", "..\\..\\boot.ini", "C:\\fakepath\\a"]
)
def test_a_name_with_a_path_in_it_is_refused(given: str) -> None:
    with pytest.raises(FileNameRefused, match="without a path"):
        names.display_name(given)


@pytest.mark.parametrize(
    ("name", "ending"),
    [
        ("a.png", "png"),
        ("a.png.exe", "exe"),
        ("a.7z", "7z"),
        ("a.mp4", "mp4"),
        ("a", ""),
        ("v1.2", ""),
        ("Screenshot 2026-11-25 at 10.15.30", ""),
        ("a.png ", ""),
        ("Dear all. Thanks", ""),
    ],
)
def test_an_ending_is_what_can_be_meant_to_tell_a_type(name: str, ending: str) -> None:
    assert names.ending(name) == ending


@pytest.mark.parametrize(
    ("name", "kept"),
    [("a.jpeg", "a.jpeg"), ("a", "a.jpg"), ("v1.2", "v1.2.jpg"), ("b" * 120, "b" * 116 + ".jpg")],
)
def test_a_name_without_an_ending_gets_the_usual_one(name: str, kept: str) -> None:
    assert names.with_ending(name, "jpg") == kept


@pytest.mark.parametrize(
    ("name", "header"),
    [
        ("a.png", "attachment; filename=\"a.png\"; filename*=UTF-8''a.png"),
        (
            'a "b" 9%;.png',
            "attachment; filename=\"a _b_ 9_;.png\"; filename*=UTF-8''a%20%22b%22%209%25%3B.png",
        ),
        ("é.txt", "attachment; filename=\"_.txt\"; filename*=UTF-8''%C3%A9.txt"),
    ],
)
def test_a_browser_is_told_to_save_it_under_its_name(name: str, header: str) -> None:
    assert names.attachment(name) == header
