"""Where what counts stands in the files."""

from __future__ import annotations

from pathlib import Path

from autocreate.config import imapd
from autocreate.config.places import ImapdPlaces, Line, Places

CONFIG = """\
# the file of a site
[milter]
domains = ["example.org"]

[[policy]]
name = "guests"   # first
create = false

[[policy]]
name = "everyone"
quota = "2G"
folders = [
  { name = "Sent" },
  { name = "[[policy]]" },
]
[[policy.folders]]
name = "more"

[journal]
url = "sqlite:////x"
"""


def written(folder: Path, text: str) -> Places:
    path = folder / "a.toml"
    path.write_text(text, encoding="utf-8")
    return Places(path)


def told(lines: tuple[Line, ...]) -> list[tuple[int, str]]:
    """Line number and words."""
    return [(int(line.place.rpartition(" ")[2]), line.text) for line in lines]


def test_a_policy_has_its_line_and_so_has_each_of_its_keys(tmp_path: Path) -> None:
    path = tmp_path / "a.toml"
    assert written(tmp_path, CONFIG).of_policy(0) == (
        Line(f"{path}, line 5", "[[policy]]"),
        Line(f"{path}, line 6", 'name = "guests" # first'),
        Line(f"{path}, line 7", "create = false"),
    )


def test_a_value_of_several_lines_is_told_from_its_first(tmp_path: Path) -> None:
    assert told(written(tmp_path, CONFIG).of_policy(1)) == [
        (9, "[[policy]]"),
        (10, 'name = "everyone"'),
        (11, 'quota = "2G"'),
        (12, 'folders = [ { name = "Sent" }, { name = "[[policy]]" }, ]'),
        (16, "[[policy.folders]]"),
        (17, 'name = "more"'),
    ]


def test_a_head_may_be_written_in_every_way_that_toml_knows(tmp_path: Path) -> None:
    places = written(
        tmp_path,
        '[["policy"]]\nname = "first"\n[[ policy ]] # c\nname = "x"\n'
        '[["policy" . \'folders\']]\nname = "Sent"\n[["po\\u006cicy"]]\nname = "last"\n',
    )
    assert told(places.of_policy(0)) == [(1, '[["policy"]]'), (2, 'name = "first"')]
    assert [number for number, _ in told(places.of_policy(1))] == [3, 4, 5, 6]
    assert told(places.of_policy(2))[1:] == [(8, 'name = "last"')]


def test_policies_that_are_one_value_are_told_one_by_one(tmp_path: Path) -> None:
    places = written(
        tmp_path,
        'mode = 1\npolicy = [{ name = "a", users = ["}", "{"] },  # { name = "none" }\n'
        '  # { name = "none" },\n'
        '  { name = "b", folders = [{ name = "Sent" },\n    { name = "Junk" }] },\n]\n',
    )
    assert told(places.of_policy(0)) == [(2, '{ name = "a", users = ["}", "{"] }')]
    assert told(places.of_policy(1)) == [
        (4, '{ name = "b", folders = [{ name = "Sent" }, { name = "Junk" }] }')
    ]


def test_a_key_is_found_however_its_table_is_written(tmp_path: Path) -> None:
    places = written(tmp_path, CONFIG)
    assert places.of("milter", "domains") == Line(
        f"{tmp_path}/a.toml, line 3", 'domains = ["example.org"]'
    )
    assert places.of("milter", "mailers") is None
    for text, line in (
        ('[accounts.staff]\ntype = "nss"\n', 1),
        ('[accounts."staff"]\ntype = "nss"\n', 1),
        ('[accounts]\nother = { type = "nss" }\nstaff = { type = "nss" }\n', 3),
        ('\naccounts.staff.type = "nss"\n', 2),
        ('accounts = { other = { type = "nss" },  staff = { type = "nss" } }\n', 1),
    ):
        found = written(tmp_path, text).of("accounts", "staff")
        assert found is not None
        assert found.place == f"{tmp_path}/a.toml, line {line}", text


def test_a_key_of_another_table_is_not_taken_for_it(tmp_path: Path) -> None:
    places = written(
        tmp_path, '[[policy]]\ndomains = ["a.test"]\n[milter]\ndomains = ["b.test"]\n[login]\n'
    )
    found = places.of("milter", "domains")
    assert found is not None
    assert found.text == 'domains = ["b.test"]'
    assert places.of("domains") is None


def test_lines_are_counted_as_an_editor_counts_them(tmp_path: Path) -> None:
    places = written(tmp_path, "# one \u2028 line \x85 it is\n[milter]\nmode = 'dry-run'\n")
    found = places.of("milter", "mode")
    assert found is not None
    assert found.place.endswith(", line 3")


def imapd_conf(folder: Path, text: str) -> ImapdPlaces:
    path = folder / "imapd.conf"
    path.write_text(text)
    return ImapdPlaces(imapd.read(str(path), None).conf)


def test_the_autocreate_options_of_imapd_conf_have_their_lines(tmp_path: Path) -> None:
    path = tmp_path / "imapd.conf"
    text = "admins: cyrus\nautocreate_quota: 500\nlmtp_autocreate_post: yes\n"
    assert imapd_conf(tmp_path, text).of_policy() == (
        Line(f"{path}, line 2", "autocreate_quota: 500"),
        Line(f"{path}, line 3", "lmtp_autocreate_post: yes"),
    )


def test_an_option_of_imapd_conf_is_the_one_that_counts_for_mail(tmp_path: Path) -> None:
    places = imapd_conf(tmp_path, "postuser: bb\nlmtp_postuser: board\nadmins: cyrus\n")
    assert places.of("postuser") == Line(f"{tmp_path}/imapd.conf, line 2", "lmtp_postuser: board")
    assert places.of("virtdomains") is None
