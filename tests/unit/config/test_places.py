"""Where a policy's keys stand in the files."""

from __future__ import annotations

from pathlib import Path

from autocreate.config.places import Line, of_imapd_conf, of_policy

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


def written(folder: Path, text: str) -> Path:
    path = folder / "a.toml"
    path.write_text(text)
    return path


def test_each_key_of_a_policy_has_its_line(tmp_path: Path) -> None:
    path = written(tmp_path, CONFIG)
    assert of_policy(path, 0) == (
        Line(f"{path}, line 6", 'name = "guests" # first'),
        Line(f"{path}, line 7", "create = false"),
    )


def test_a_value_of_several_lines_is_told_from_its_first(tmp_path: Path) -> None:
    path = written(tmp_path, CONFIG)
    places = [(line.place.rpartition(" ")[2], line.text) for line in of_policy(path, 1)]
    assert places == [
        ("10", 'name = "everyone"'),
        ("11", 'quota = "2G"'),
        ("12", 'folders = [ { name = "Sent" }, { name = "[[policy]]" }, ]'),
        ("16", "[[policy.folders]]"),
        ("17", 'name = "more"'),
    ]


def test_policies_that_are_one_value_are_told_as_one(tmp_path: Path) -> None:
    path = written(tmp_path, 'policy = [\n  { name = "all" },\n]\n')
    assert of_policy(path, 0) == (Line(f"{path}, line 1", 'policy = [ { name = "all" }, ]'),)


def test_the_autocreate_options_of_imapd_conf_have_their_lines(tmp_path: Path) -> None:
    path = tmp_path / "imapd.conf"
    path.write_text("admins: cyrus\nautocreate_quota: 500\nlmtp_autocreate_post: yes\n")
    assert of_imapd_conf(str(path)) == (
        Line(f"{path}, line 2", "autocreate_quota: 500"),
        Line(f"{path}, line 3", "lmtp_autocreate_post: yes"),
    )
