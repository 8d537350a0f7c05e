"""The manual pages, in the language of man(7).

They are made from the texts of `--help` and of the configuration's keys when they are printed, so they are
never out of date.
"""

import ast
import inspect
import json
import re
from collections.abc import Iterable, Iterator
from datetime import date
from importlib.metadata import version
from itertools import pairwise
from pathlib import Path
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

import click
from pydantic import BaseModel
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from autocreate.cli import man_texts
from autocreate.config.policy import Folder
from autocreate.config.sections import Config
from autocreate.config.types import Section

_PACKAGE = "autocreate-milter"

# The heads of tables as they are written in the file.
_HEADS = {
    **{it: f"[{it}.NAME]" for it in ("accounts", "domains", "aliases")},
    "policy": "[[policy]]",
}


def command_page(group: click.Group, name: str) -> str:
    """autocreate(1): every command with its usage, text and options."""
    root = click.Context(group, info_name=name)
    lines = [
        _head(name, 1),
        f".SH NAME\n{name} \\- {_escaped(_first_sentence(group))}",
        f".SH SYNOPSIS\n.B {name}\n[OPTIONS] COMMAND [ARGUMENTS]",
        f".SH DESCRIPTION\n{_paragraphs(group.help or '')}",
        ".SH COMMANDS",
        *_commands(group, root),
        *_listed("SIGNALS", man_texts.SIGNALS),
        *_listed("ENVIRONMENT", man_texts.ENVIRONMENT),
        *_listed("FILES", man_texts.FILES),
        *_listed("EXAMPLES", man_texts.EXAMPLES),
        ".SH SEE ALSO\nautocreate.toml(5), imapd.conf(5), postconf(5)",
    ]
    return "\n".join(lines) + "\n"


def configuration_page() -> str:
    """autocreate.toml(5): every table of the file and every key in it."""
    lines = [
        _head("autocreate.toml", 5),
        ".SH NAME\nautocreate.toml \\- configuration of autocreate(1)",
        ".SH DESCRIPTION",
        "A TOML file.\n.B autocreate config check\nreports every mistake in it, such as unknown keys and "
        "invalid values. Nothing starts with a wrong file.",
    ]
    described = _descriptions_in(Config)
    for key, field in Config.model_fields.items():
        for section in _sections_of(field.annotation):
            lines += _section(_head_of(key, section), section, described.get(key, ""))
            lines += _subsections(key, section)
    lines += _listed("FILES", man_texts.FILES[:1])
    lines += [".SH EXAMPLES", "A dry run for one domain:", ".PP\n.nf"]
    lines += [_escaped(man_texts.CONFIGURATION.strip()), ".fi"]
    lines.append(".SH SEE ALSO\nautocreate(1), imapd.conf(5)")
    return "\n".join(lines) + "\n"


def _commands(group: click.Group, context: click.Context) -> Iterator[str]:
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        assert command is not None  # it has just listed it
        if command.hidden:
            continue
        inner = click.Context(command, info_name=name, parent=context)
        if isinstance(command, click.Group):
            yield from _commands(command, inner)
            continue
        usage = command.get_usage(inner).removeprefix("Usage: ")
        yield f".SS {_escaped(' '.join(usage.split()))}\n{_paragraphs(command.help or '')}"
        for option in command.params:
            if isinstance(option, click.Option) and (record := option.get_help_record(inner)):
                yield f".TP\n.B {_escaped(record[0])}\n{_escaped(record[1])}"


def _listed(head: str, items: Iterable[tuple[str, str]]) -> Iterator[str]:
    """A section of terms, each with its text."""
    yield f".SH {head}"
    for term, text in items:
        yield f".TP\n.B {_escaped(term)}\n{_paragraphs(text)}"


def _section(head: str, section: type[BaseModel], text: str) -> Iterator[str]:
    yield f".SH {_escaped(head)}\n{_paragraphs(_text_of(section))}"
    if text:
        yield f".PP\n{_paragraphs(text)}"
    described = _descriptions_in(section)
    for key, field in section.model_fields.items():
        words = _with_choices(field, described.get(key, ""))
        yield f".TP\n.BR {_quoted(key)} {_quoted(_value_of(field))}\n{_paragraphs(words)}"


def _subsections(key: str, section: type[BaseModel]) -> Iterator[str]:
    for name, field in section.model_fields.items():
        for inner in _sections_of(field.annotation):
            head = "A folder of a policy" if inner is Folder else _head_of(f"{key}.{name}", inner)
            yield from _section(head, inner, "")


def _sections_of(annotation: Any) -> list[type[BaseModel]]:
    """The tables that an annotation speaks of, however it is wrapped."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [section for inner in get_args(annotation) for section in _sections_of(inner)]


def _head_of(key: str, section: type[BaseModel]) -> str:
    kind = section.model_fields.get("type")
    suffix = f" {_alternatives(kind.annotation)}" if kind else ""
    return _HEADS.get(key, f"[{key}]") + (f" type ={suffix}" if suffix else "")


def _value_of(field: FieldInfo) -> str:
    if field.is_required():
        return f" = {_alternatives(field.annotation) or '...'}   (required)"
    default = field.get_default(call_default_factory=True)
    shown = "not set" if default is None else _toml(default)
    return f" = {shown}"


def _descriptions_in(section: type[BaseModel]) -> dict[str, str]:
    """The text below each key in the source.

    Pydantic could collect it, but would read and parse the source for every command that is started.
    """
    described: dict[str, str] = {}
    for kind in reversed(section.__mro__):
        if not issubclass(kind, Section):
            continue
        (tree,) = ast.parse(inspect.getsource(kind)).body
        assert isinstance(tree, ast.ClassDef)
        for key, text in pairwise(tree.body):
            match key, text:
                case (
                    ast.AnnAssign(target=ast.Name(id=name)),
                    ast.Expr(value=ast.Constant(value=str(words))),
                ):
                    described[name] = inspect.cleandoc(words)
    return described


def _with_choices(field: FieldInfo, words: str) -> str:
    choices = _alternatives(field.annotation)
    return words if field.is_required() or not choices else f"{words} One of {choices}."


def _alternatives(annotation: Any) -> str:
    """`"none", "starttls"` for a Literal, also inside Optional and Annotated."""
    origin = get_origin(annotation)
    if origin is Literal:
        return ", ".join(_toml(value) for value in get_args(annotation))
    if origin is Annotated:
        return _alternatives(get_args(annotation)[0])
    if origin in (Union, UnionType):
        found = {_alternatives(inner) for inner in get_args(annotation) if inner is not NoneType}
        return found.pop() if len(found) == 1 else ""
    return ""


def _toml(value: Any) -> str:
    if value is PydanticUndefined:
        return "..."
    if isinstance(value, BaseModel):
        return "{...}"
    if isinstance(value, tuple):
        value = list(value)
    if isinstance(value, Path):
        value = str(value)
    return json.dumps(value, ensure_ascii=False)


def _text_of(section: type[BaseModel]) -> str:
    """A section's own text, without the name of its table that its heading says already."""
    text = re.sub(r"^\[.*?\]+: ", "", section.__doc__ or "")
    return text[:1].upper() + text[1:]


def _head(name: str, number: int) -> str:
    today = date.today().isoformat()
    return f'.TH {name.upper()} {number} {today} "{_PACKAGE} {version(_PACKAGE)}"'


def _first_sentence(command: click.Command) -> str:
    text = " ".join((command.help or "").split())
    return text.partition(".")[0]


def _paragraphs(text: str) -> str:
    blocks = re.split(r"\n\s*\n", text.strip())
    return "\n.PP\n".join(_escaped(" ".join(block.split())) for block in blocks)


def _quoted(text: str) -> str:
    return '"' + _escaped(text).replace('"', "\\(dq") + '"'


def _escaped(text: str) -> str:
    """Text that man(7) shows as it is."""
    plain = text.replace("\\", "\\e").replace("-", "\\-").replace("`", "")
    return re.sub(r"(?m)^([.'])", r"\\&\1", plain)
