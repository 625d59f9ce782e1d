"""The questionnaire: items, foundations, an integer scale and the prompts that ask for a rating."""

import csv
import hashlib
import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from string import Formatter
from typing import Annotated, NamedTuple

from pydantic import AliasChoices, BaseModel, ConfigDict, Field

from persona_collapse.input_errors import checked, listing, read_yaml
from persona_collapse.paths import INSTRUMENTS, shown

#: Points that a scale may have.
MOST_POINTS = 11
#: A point of the scale with its label, as prompts have them.
_LABEL = r"(?<!\d)(-?\d+) *[=:] *([^,;.\n{}]+)"


@dataclass(frozen=True)
class Item:
    """One question: its number in the questionnaire (1-based), block, foundation (its group) and wording.

    A high rating of a `reversed` item means little of what its group is about: groups score it the other way round.
    """

    number: int
    block: str
    foundation: str
    text: str
    reversed: bool = False
    worded: bool = True  #: whether `text` is its wording, and not a name for it


@dataclass(frozen=True)
class Yardstick:
    """What people answered, as the questionnaire's authors print it: who they are, where it stands, and their mean ratings.

    ``means`` are on the scale, one a group in the order of `Instrument.foundations`; reversed items are turned.
    """

    name: str
    source: str
    means: tuple[float, ...]


class Wording(NamedTuple):
    """A paraphrase of an instrument's prompts: `templates` and `persona_template` as an `Instrument` has them."""

    templates: Mapping[str, str]
    persona_template: str


@dataclass(frozen=True)
class Instrument:
    """A questionnaire as it is asked.

    ``scale`` is (low, high), both rated; ``templates`` maps a block to the prompt with ``{text}`` in it;
    ``persona_template`` holds ``{persona}`` and ``{item}``. ``digit_suffix`` ends a prompt that asks for a single digit,
    as method logprobs does; None where the instrument has no such wording.
    """

    key: str
    title: str
    about: dict[str, str]
    scale: tuple[int, int]
    templates: dict[str, str]
    persona_template: str
    items: tuple[Item, ...]
    digit_suffix: str | None = None
    short_names: Mapping[str, str] = field(default_factory=dict)  #: of groups, where axes have little room
    group: str = "group"  #: what the instrument calls its groups of items: foundation, domain, facet
    texts_sha256: str | None = None  #: of the wording of its items, a line each, of an instrument that ships without
    yardstick: Yardstick | None = None  #: a profile of people that figures show beside those of runs; in no test
    wordings: Mapping[str, Wording] = field(default_factory=dict)  #: paraphrases of its prompts, by name; `a` is its own
    persona_in: str = "user"  #: the message that says who is asked: that of the question, or a system message before it
    scale_down: bool = False  #: whether prompts attach its labels to the points in reverse, so that ratings are to be turned

    @property
    def name(self) -> str:
        """How sentences call it: the letters that its title ends with, as in "... (MFQ-30)", or the title up to its comma."""
        letters = re.search(r"\(([^()]+)\)$", self.title)
        return letters[1] if letters else self.title.partition(",")[0]

    @property
    def worded(self) -> bool:
        """Whether the wording of its items is known; without it ratings can be imported, and nobody asked."""
        return all(item.worded for item in self.items)

    def with_texts(self, path: Path) -> "Instrument":
        """The same with the wording of its items, from a CSV file with the columns item (its number) and text.

        Raises FileNotFoundError or ValueError where it is not the known wording, or not one text for every item.
        """
        where = shown(path)
        try:
            with path.open(encoding="utf-8-sig", newline="") as file:
                rows = list(csv.DictReader(file))
        except FileNotFoundError:
            raise FileNotFoundError(f"{where}: does not exist; expected a CSV file with the columns item and text") from None
        except (UnicodeDecodeError, csv.Error) as error:
            raise ValueError(f"{where}: is no CSV file in UTF-8 ({error}); expected the columns item and text") from None
        if not rows or not {"item", "text"} <= rows[0].keys():
            raise ValueError(f"{where}: has columns {listing(rows[0]) if rows else 'none'}; expected item and text")
        texts = {str(row["item"]).strip(): str(row["text"] or "").strip() for row in rows}
        numbers = [str(item.number) for item in self.items]
        if sorted(texts) != sorted(numbers) or len(rows) != len(numbers) or not all(texts.values()):
            raise ValueError(
                f"{where}: has {len(rows)} rows; expected one text for each of the items 1 to {len(numbers)} of {self.key}"
            )
        found = hashlib.sha256("\n".join(texts[number] for number in numbers).encode()).hexdigest()
        if self.texts_sha256 and found != self.texts_sha256:
            raise ValueError(
                f"{where}: is not the known wording of {self.key} (SHA-256 {found[:12]}..., expected {self.texts_sha256[:12]}...)"
                "; correct the texts, or name an instrument file of your own for another wording"
            )
        return replace(self, items=tuple(replace(item, text=texts[str(item.number)], worded=True) for item in self.items))

    @property
    def categories(self) -> range:
        """The points of the scale, low to high."""
        return range(self.scale[0], self.scale[1] + 1)

    @property
    def turned(self) -> str:
        """What is said beside means over items where some of them are reversed; nothing where none is."""
        return " Reversed items are turned." if any(item.reversed for item in self.items) else ""

    @property
    def as_given(self) -> str:
        """What is said beside means of single items where some of them are reversed; nothing where none is."""
        return " Ratings are as they were given; reversed items are not turned." if self.turned else ""

    @cached_property
    def foundations(self) -> tuple[str, ...]:
        """Foundations in the order in which the items name them."""
        return tuple(dict.fromkeys(item.foundation for item in self.items))

    @property
    def groups(self) -> str:
        """The word for several of its groups."""
        return f"{self.group}s"

    @cached_property
    def labels(self) -> tuple[tuple[int, str], ...]:
        """Points of the scale with the words that prompts give them, as in "0 = not at all relevant"; empty without any."""
        found = (re.findall(_LABEL, text) for text in self.templates.values())
        return tuple(dict.fromkeys((int(point), label.strip()) for labels in found for point, label in labels if label.strip()))

    def worded_as(self, levels: str) -> "Instrument":
        """As it is asked at some levels, such as "wording=b scale=down"; empty text: as it is.

        Raises ValueError for a wording that it has not, or where its prompts do not name every point of the scale once.
        """
        level = dict(pair.split("=", 1) for pair in levels.split())
        found, name = self, level.get("wording", "a")
        if name != "a":
            if name not in self.wordings:
                raise ValueError(
                    f"wording: {self.key} has no wording {name!r}; expected one of {listing(['a', *self.wordings])}; "
                    f"a file of your own gets one under `wordings: {{{name}: {{prompts: ..., persona_prompt: ...}}}}`"
                )
            one = self.wordings[name]
            found = replace(found, templates=dict(one.templates), persona_template=one.persona_template)
        if level.get("scale", "up") == "down":
            turned = {block: _turned(f"{self.key}, prompts.{block}", text, self.scale) for block, text in found.templates.items()}
            found = replace(found, templates=turned, scale_down=True)
        if level.get("persona_in", "user") == "system":
            before, _, after = found.persona_template.partition("{item}")
            if "{persona}" not in before or after.strip():
                raise ValueError(
                    f"persona_in: the persona_prompt of {self.key} does not end with the question, and a system message is what "
                    "stands before it; move {item} to its end, or leave `persona_in` out of vary"
                )
            found = replace(found, persona_in="system")
        return found

    def on_scale(self, given: int) -> int:
        """The rating that a given number means: turned where the scale was shown in reverse."""
        return sum(self.scale) - given if self.scale_down else given

    def short(self, group: str) -> str:
        """A group as axes show it; what is none, such as `overall`, stays."""
        return self.short_names.get(group, group)

    def system(self, persona: str | None) -> str:
        """The system message that says who is asked; empty where the user message says it, or nobody is played."""
        if persona is None or self.persona_in == "user":
            return ""
        return self.persona_template.partition("{item}")[0].format(persona=persona).strip()

    def prompt(self, item: Item, persona: str | None = None, *, digit: bool = False) -> str:
        """The user message that asks for `item`, as `persona` or, with None, without one; with `digit` for one digit.

        Without the persona where a `system` message has it.
        """
        question = self.templates[item.block].format(text=item.text)
        asked = (
            question
            if persona is None or self.persona_in == "system"
            else self.persona_template.format(persona=persona, item=question)
        )
        return asked + (self.digit_suffix or "") * digit


def _turned(where: str, template: str, scale: tuple[int, int]) -> str:
    """A prompt whose labels change places: that of the lowest point stands beside the highest, and so on."""
    found = {int(match[1]): match[2].strip() for match in re.finditer(_LABEL, template)}
    if sorted(found) != list(range(scale[0], scale[1] + 1)) or len(re.findall(_LABEL, template)) != len(found):
        raise ValueError(
            f"{where}: names the points {sorted(found)} with a label; expected each of {scale[0]} to {scale[1]} once, as in "
            "'0 = not at all', to show the scale in reverse; correct the prompt, or leave `scale` out of vary"
        )

    def swap(match: "re.Match[str]") -> str:
        return match[0].replace(match[2].strip(), found[sum(scale) - int(match[1])])

    return re.sub(_LABEL, swap, template)


class _ItemFile(BaseModel):
    model_config = ConfigDict(extra="forbid")
    number: int
    block: str
    # The MFQ calls its groups foundations; any other instrument has groups.
    group: Annotated[str, Field(min_length=1, validation_alias=AliasChoices("group", "foundation"))]
    text: Annotated[str, Field(min_length=1)] | None = None
    reversed: bool = False


class _ScaleFile(BaseModel):
    model_config = ConfigDict(extra="forbid")
    low: int
    high: int


class _YardstickFile(BaseModel):
    model_config = ConfigDict(extra="forbid", allow_inf_nan=False)
    name: Annotated[str, Field(min_length=1)]
    source: Annotated[str, Field(min_length=1)]
    # As they are printed: sums over the items of a group, or mean ratings.
    sums: dict[str, float] | None = None
    means: dict[str, float] | None = None


class _WordingFile(BaseModel):
    model_config = ConfigDict(extra="forbid")
    prompts: dict[str, str]
    persona_prompt: str


class _InstrumentFile(BaseModel):
    model_config = ConfigDict(extra="forbid")
    title: str
    source: str
    citation: str
    terms: str
    scale: _ScaleFile
    persona_prompt: str
    digit_suffix: str | None = None
    prompts: dict[str, str]
    wordings: dict[Annotated[str, Field(pattern=r"^[b-z][a-z0-9]*$")], _WordingFile] = {}
    short: dict[str, str] = {}
    group_name: Annotated[str, Field(pattern=r"^[a-z][a-z -]*$")] = "group"
    yardstick: _YardstickFile | None = None
    texts_sha256: str | None = None  # of the wording, an item a line, where it is not ours to hand on
    items: Annotated[list[_ItemFile], Field(min_length=1)]


def load_instrument(name: str | Path) -> Instrument:
    """Load and check an instrument by its name in params/instruments/ or by a path to a YAML file."""
    path = INSTRUMENTS / f"{name}.yaml" if "/" not in str(name) and not str(name).endswith((".yaml", ".yml")) else Path(name)
    if not path.is_file():
        known = sorted(p.stem for p in INSTRUMENTS.glob("*.yaml"))
        raise FileNotFoundError(f"{shown(path)}: no such instrument; expected one of {listing(known)}, or a path")
    found = checked(path, _InstrumentFile, read_yaml(path))
    where = shown(path)
    if found.scale.low >= found.scale.high:
        raise ValueError(f"{where}, scale: low {found.scale.low} is not below high {found.scale.high}; give two integers")
    if found.scale.high - found.scale.low + 1 > MOST_POINTS:
        raise ValueError(
            f"{where}, scale: from {found.scale.low} to {found.scale.high} there are {found.scale.high - found.scale.low + 1} "
            f"points; expected {MOST_POINTS} or fewer"
        )
    numbers = [item.number for item in found.items]
    if numbers != list(range(1, len(numbers) + 1)):
        raise ValueError(f"{where}, items: numbers are {numbers[:5]}...; expected 1 to {len(numbers)} in order")
    for item in found.items:
        if item.block not in found.prompts:
            raise ValueError(
                f"{where}, items[{item.number - 1}].block: {item.block!r} has no prompt; "
                f"expected one of {listing(sorted(found.prompts))}"
            )
    groups = {item.group for item in found.items}
    if unknown := [name for name in found.short if name not in groups]:
        raise ValueError(f"{where}, short: {unknown[0]!r} is no group of an item; expected one of {listing(sorted(groups))}")
    for place, template, fields in [
        *((f"prompts.{block}", text, {"text"}) for block, text in found.prompts.items()),
        ("persona_prompt", found.persona_prompt, {"persona", "item"}),
        *(
            (f"wordings.{name}.prompts.{block}", text, {"text"})
            for name, one in found.wordings.items()
            for block, text in one.prompts.items()
        ),
        *((f"wordings.{name}.persona_prompt", one.persona_prompt, {"persona", "item"}) for name, one in found.wordings.items()),
    ]:
        _check_template(f"{where}, {place}", template, fields)
    for name, one in found.wordings.items():
        if one.prompts.keys() != found.prompts.keys():
            raise ValueError(
                f"{where}, wordings.{name}.prompts: has {listing(one.prompts)}; expected one for each of {listing(found.prompts)}"
            )
    return Instrument(
        key=path.stem,
        title=found.title,
        about={"source": found.source, "citation": found.citation, "terms": found.terms},
        scale=(found.scale.low, found.scale.high),
        templates=dict(found.prompts),
        persona_template=found.persona_prompt,
        items=tuple(
            Item(i.number, i.block, i.group, i.text or f"item {i.number}, wording not included", i.reversed, i.text is not None)
            for i in found.items
        ),
        texts_sha256=found.texts_sha256,
        digit_suffix=found.digit_suffix,
        short_names=dict(found.short),
        group=found.group_name,
        wordings={name: Wording(dict(one.prompts), one.persona_prompt) for name, one in found.wordings.items()},
        yardstick=_yardstick(f"{where}, yardstick", found),
    )


def _yardstick(where: str, file: _InstrumentFile) -> Yardstick | None:
    """The profile of people that an instrument file prints, as mean ratings; every group has one, and it lies on the scale."""
    printed = file.yardstick
    if printed is None:
        return None
    if (printed.sums is None) == (printed.means is None):
        found = "neither sums nor means" if printed.sums is None else "both sums and means"
        raise ValueError(f"{where}: has {found}; give one of them")
    key = "means" if printed.sums is None else "sums"
    given = printed.sums or printed.means or {}
    items = Counter(item.group for item in file.items)
    for group in [*given, *items]:
        if group not in items or group not in given:
            what = "is no group of an item" if group not in items else "is missing"
            raise ValueError(f"{where}.{key}: {group!r} {what}; expected exactly {listing(items)}")
    least, most = file.scale.low, file.scale.high
    for group, value in given.items():
        over = items[group] if key == "sums" else 1
        if not least * over <= value <= most * over:
            of = f" as the sum of {over} item{'s' * (over > 1)}" if key == "sums" else ""
            raise ValueError(f"{where}.{key}.{group}: {value:g} is off the scale; expected {least * over} to {most * over}{of}")
    means = (given[group] / (items[group] if key == "sums" else 1) for group in items)
    return Yardstick(printed.name, printed.source, tuple(means))


def _check_template(where: str, template: str, fields: set[str]) -> None:
    try:
        # A format or conversion stays part of the name, so that it is refused.
        found = {
            f"{name}{'!' + conversion if conversion else ''}{':' + spec if spec else ''}"
            for _, name, spec, conversion in Formatter().parse(template)
            if name is not None
        }
    except ValueError as error:
        raise ValueError(f"{where}: {error}; write a literal brace twice") from None
    if found != fields:
        wanted = listing(sorted("{" + f + "}" for f in fields))
        raise ValueError(f"{where}: holds the fields {sorted(found)}; expected exactly {wanted}")
