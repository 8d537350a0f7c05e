"""The tree of one account: its language, and what its attributes fill in.

A value comes from a database that its user may edit, so it is checked for where it goes. What cannot be filled in
is left out, and said: a folder, an annotation or a script with a hole in it would be a wrong one, and none of them
keeps mail waiting.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from autocreate.core.annotations import value_problem
from autocreate.core.language import chosen
from autocreate.core.naming import Mailboxes
from autocreate.core.placeholders import filled, names_in
from autocreate.core.sieve_template import filled_script, names_in_script
from autocreate.errors import MalformedValue, Refused
from autocreate.tree.values import Folder, Path, Script, Tree


def in_language(tree: Tree, preferred: Iterable[str], default: str) -> Tree:
    """The tree with the names of folders in the language that an account prefers."""
    languages = list(dict.fromkeys(tag for it in tree.folders for tag, _ in it.names))
    if not languages:
        return tree
    language = chosen(preferred, languages, default)
    folders = (replace(it, path=dict(it.names).get(language, it.path)) for it in tree.folders)
    return replace(tree, folders=tuple(folders))


def fill_in(tree: Tree, values: Mapping[str, str]) -> tuple[Tree, tuple[str, ...]]:
    """A policy's tree with an account's values, and what is wrong with them."""
    filling = _Filling(values, [])
    folders: dict[Path, Folder] = {}
    for wanted in tree.folders:
        folder = filling.folder(wanted)
        if folder is None:
            continue
        if folder.path in folders:
            filling.problems.append(f"folder {wanted.name} is the same as another: {folder.name}")
        folders.setdefault(folder.path, folder)
    script = filling.script(tree.script) if tree.script else None
    filled_tree = replace(tree, folders=tuple(folders.values()), script=script)
    return filled_tree, tuple(filling.problems)


def sample_of(script: Script) -> Script:
    """A script as some account could get it, to see whether it compiles."""
    if not script.is_template:
        return script
    values = dict.fromkeys(names_in_script(script.text), "user@example.org")
    return replace(script, text=filled_script(script.text, values))


@dataclass(frozen=True, slots=True)
class _Filling:
    values: Mapping[str, str]
    problems: list[str]

    def folder(self, folder: Folder) -> Folder | None:
        try:
            path = self._path(folder.path)
        except MalformedValue as error:
            self.problems.append(f"{error}; left out: folder {folder.name}")
            return None
        names = []
        for language, other in folder.names:
            try:
                names.append((language, self._path(other)))
            except MalformedValue:
                continue  # a name that is not the user's, and so could never be found
        return replace(folder, path=path, names=tuple(names), annotations=self._annotations(folder))

    def script(self, script: Script) -> Script | None:
        if not script.is_template:
            return script
        try:
            return replace(script, text=filled_script(script.text, self.values))
        except MalformedValue as error:
            self.problems.append(f"{error}; left out: sieve script {script.name}")
            return None

    def _path(self, path: Path) -> Path:
        if not any(map(names_in, path)):
            return path
        self._require(path)
        levels = tuple(filled(level, self.values, _as_part_of_level) for level in path)
        for level in levels:
            if level in (".", "..") or level != level.strip():
                raise MalformedValue(f"makes {level!r} of a folder's name")
        try:
            # What is forbidden on one server only is said there.
            Mailboxes("/").as_user(levels)
        except Refused as refusal:
            raise MalformedValue(str(refusal)) from refusal
        return levels

    def _annotations(self, folder: Folder) -> tuple[tuple[str, str], ...]:
        annotations = []
        for entry, template in folder.annotations:
            try:
                self._require([template])
                value = filled(template, self.values)
                if problem := value_problem(entry, value) if names_in(template) else "":
                    raise MalformedValue(problem)
                annotations.append((entry, value))
            except MalformedValue as error:
                self.problems.append(f"{error}; left out: annotation {entry} of {folder.name}")
        return tuple(annotations)

    def _require(self, texts: Sequence[str]) -> None:
        for name in (name for text in texts for name in names_in(text)):
            if not self.values.get(name):
                raise MalformedValue(f"has no value for {{{name}}}")


def _as_part_of_level(value: str) -> str:
    if "/" in value or not value.isprintable():
        raise MalformedValue(f"has {value!r}, which cannot be a part of a folder's name")
    return value
