"""A folder that a user has under its name of another language is not created once more.

A user's language changes, or a policy gets names by language later. The folder that exists stays the user's:
clients, rules and the user know it by its name.
"""

from collections.abc import Iterator
from dataclasses import replace

from autocreate.tree.values import Folder, Path, Tree


def with_alternatives(wanted: Tree) -> Tree:
    """The tree to observe: every folder under each of its names."""
    return replace(wanted, folders=tuple(dict.fromkeys(_candidates(wanted))))


def settled(wanted: Tree, observed: Tree) -> Tree:
    """The wanted tree with the names that its folders have already.

    The folder that has the special use is the one. Where none has it, it is the one with the wanted
    name, else the first that exists under another.

    Args:
        observed: what exists of `with_alternatives(wanted)`.
    """
    existing = {folder.path: folder for folder in observed.folders}
    taken = {folder.path for folder in wanted.folders}
    folders = []
    for folder in wanted.folders:
        path = _existing_path(folder, existing)
        is_free = path == folder.path or path not in taken
        folders.append(replace(folder, path=path) if is_free else folder)
        taken.add(folders[-1].path)
    return replace(wanted, folders=tuple(folders))


def _existing_path(folder: Folder, existing: dict[Path, Folder]) -> Path:
    paths = [path for path in (folder.path, *folder.alternatives) if path in existing]
    if folder.special_use:
        for path in paths:
            if existing[path].special_use == folder.special_use:
                return path
    return paths[0] if paths else folder.path


def _candidates(wanted: Tree) -> Iterator[Folder]:
    yield from wanted.folders
    for folder in wanted.folders:
        for path in folder.alternatives:
            yield replace(folder, path=path)
