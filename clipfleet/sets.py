"""A set: what is made with one choice of options, and what a run into it may do. Pure.

The first set has no name and lies at the store's root, others in `sets/NAME/`. Captions are never
lost to a change of options: a run that would replace what its set has is refused.
"""

import json
import textwrap
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, PlainSerializer, TypeAdapter
from pydantic import ValidationError as Invalid

from clipfleet.errors import SetConflict, UsageError
from clipfleet.flags import each_option
from clipfleet.messages import SetName
from clipfleet.models import find
from clipfleet.options import OPTIONS_VERSION, Group, Options, Shapes
from clipfleet.records import Versioned

# What people call the set that has no name.
DEFAULT_SET = "(default)"
_LONGEST = 60  # letters of a value that a message shows
_MADE_OF: dict[Shapes | None, set[Shapes | None]] = {
    Shapes.PREVIEW: {Shapes.WINDOWS},
    Shapes.CAPTION: {Shapes.WINDOWS},
    Shapes.ENHANCED: {Shapes.WINDOWS, Shapes.CAPTION},
}

# The options where neither a run nor its set says, by the caption model that either names.
Defaults = Callable[[str | None], Options]


def plain_defaults(captioner: str | None) -> Options:
    """The defaults of every machine."""
    return Options()


def _read(found: Any) -> Options:
    return found if isinstance(found, Options) else Options.from_json(json.dumps(found).encode())


def _written(options: Options) -> dict[str, Any]:
    return {"version": OPTIONS_VERSION, **options.model_dump(mode="json")}


class SetModel(BaseModel):
    """The weights of a model, as they were pinned."""

    model_config = ConfigDict(frozen=True)

    repository: str
    revision: str


class SetFile(Versioned):
    """What a set is made with (`keys.set_file`). Its first run writes it.

    `options` are resolved. `products` has the recipe of each product that runs have asked for, by
    the product's name; `models` the weights that these are made with, by the model's name.
    `created_at` is ISO 8601, UTC; `run_id` that of the first run.
    """

    name: SetName = ""
    options: Annotated[Options, BeforeValidator(_read), PlainSerializer(_written)]
    products: dict[str, str]
    models: dict[str, SetModel]
    created_at: str
    run_id: str

    def holds(self, shapes: Shapes) -> bool:
        """Whether options that shape this are settled: a product of theirs is made."""
        return shapes is Shapes.CHOICE or any(
            _shapes(product) is shapes for product in self.products
        )


@dataclass(frozen=True, kw_only=True)
class Difference:
    """One thing that a set and a run have otherwise; values as a person reads them."""

    what: str  # the option's flag, or the model whose weights differ
    of_set: str
    asked: str

    def __str__(self) -> str:
        return f"{self.what} is {self.of_set} there, {self.asked} here"


def label(name: str) -> str:
    """A set's name for people."""
    return name or DEFAULT_SET


def read_set_name(name: str) -> str:
    """The set that a person names. Raises `UsageError` where none can have that name."""
    if name in ("", DEFAULT_SET):
        return ""
    try:
        return TypeAdapter(SetName).validate_python(name)
    except Invalid:
        raise UsageError(
            f"set {name!r}: a set's name has 1 to 64 letters, digits, dots, dashes or underlines, "
            "the first a letter or a digit, and is neither runs nor probe"
        ) from None


def resolve(given: Options, pinned: SetFile | None, defaults: Defaults = plain_defaults) -> Options:
    """The options of a run into a set: those that it gives, else the set's, else the default.

    `given` are options of which `model_fields_set` says which the run gives: all others count as
    not given, whatever their value.
    """
    captioner = None
    if "model_variant" in given.caption.model_fields_set:
        captioner = given.caption.model_variant
    elif pinned is not None and pinned.holds(Shapes.CAPTION):
        captioner = pinned.options.caption.model_variant
    otherwise = defaults(captioner)
    groups: dict[str, dict[str, Any]] = {}
    for name, option, shapes in _each(given):
        if option in _given(getattr(given, name)):
            source = given
        elif pinned is not None and pinned.holds(shapes):
            source = pinned.options
        else:
            source = otherwise
        groups.setdefault(name, {})[option] = getattr(getattr(source, name), option)
    if "enabled" not in given.enhance.model_fields_set:  # a run without captions asks for less
        groups["enhance"]["enabled"] &= groups["prepare"]["generate_captions"]
    try:
        return Options.model_validate(groups)
    except Invalid as error:
        said = error.errors()[0]["msg"].removeprefix("Value error, ")
        where = f"with what set {label(pinned.name)} has: " if pinned is not None else ""
        raise UsageError(where + said) from None


def _given(group: Group) -> set[str]:
    """The options of a group that are given. Whoever names a built-in prompt means no other."""
    names = group.model_fields_set
    return names | {"prompt_text"} if "prompt_variant" in names else names


def begin(name: str, options: Options, *, run_id: str, created_at: str) -> SetFile:
    """A set as its first run makes it."""
    return SetFile(
        name=name,
        options=options,
        products=options.recipes,
        models=_models(options, options.recipes),
        created_at=created_at,
        run_id=run_id,
    )


def differences(pinned: SetFile, options: Options) -> list[Difference]:
    """What a run with these options would make otherwise than the set has it."""
    recipes = options.recipes
    wrong = [p for p, recipe in pinned.products.items() if recipes.get(p, recipe) != recipe]
    shaped = {_shapes(product) for product in wrong}
    found = [*_option_differences(pinned.options, options, shaped)]
    for name, weights in _models(options, wrong).items():
        known = pinned.models.get(name)
        if known is not None and known != weights:
            texts = (f"{each.repository}@{each.revision}" for each in (known, weights))
            found.append(Difference(what=f"model {name}", of_set=next(texts), asked=next(texts)))
    if wrong and not found:  # another version's way to name recipes
        found = [Difference(what=p, of_set=pinned.products[p], asked=recipes[p]) for p in wrong]
    return found


def added(pinned: SetFile, options: Options) -> list[str]:
    """The products that the set has none of yet, and a run with these options would make."""
    return [product for product in options.recipes if product not in pinned.products]


def check(pinned: SetFile, options: Options) -> None:
    """Raises `SetConflict` where a run with these options would replace what the set has."""
    found = differences(pinned, options)
    if found:
        raise SetConflict(
            f"set {label(pinned.name)} has other options, and keeps what was made with them: "
            f"{'; '.join(map(str, found))}. Beside it: --set NAME. In its place: --overwrite, "
            "which replaces records as their clips are done again"
        )


def changed(pinned: SetFile, options: Options) -> SetFile:
    """The set once a run with these options is of it: with what it adds, and what it replaces.

    What it does not ask for stays, but for what was made from something that is replaced.
    """
    recipes = options.recipes
    new = {p for p, recipe in recipes.items() if pinned.products.get(p) != recipe}
    if not new:
        return pinned
    taken = {_shapes(product) for product in new}
    groups: dict[str, dict[str, Any]] = {}
    for name, option, shapes in _each(options):
        old, asked = (getattr(getattr(o, name), option) for o in (pinned.options, options))
        value = asked if shapes in taken else old
        groups.setdefault(name, {})[option] = old or asked if shapes is Shapes.CHOICE else value
    settled = Options.model_validate(groups)
    replaced = {_shapes(product) for product in new if product in pinned.products}
    kept = {
        p: r for p, r in pinned.products.items() if not _MADE_OF.get(_shapes(p), set()) & replaced
    }
    products = kept | recipes
    models = pinned.models | _models(settled, new)
    return pinned.model_copy(update={"options": settled, "products": products, "models": models})


def _each(options: Options) -> Iterator[tuple[str, str, Shapes]]:
    """(group, option, what it shapes) of every option."""
    for name in type(options).model_fields:
        group: Group = getattr(options, name)
        for option in type(group).model_fields:
            yield name, option, group.shaped_by(option)


def _shapes(product: str) -> Shapes | None:
    """What the options of a product shape; None where it has none (`clip`)."""
    kind = product.partition(":")[0]
    return Shapes(kind) if kind in set(Shapes) else None


def _models(options: Options, products: Iterable[str]) -> dict[str, SetModel]:
    """The weights that these products are made with, by model."""
    shaped = {_shapes(product) for product in products}
    wanted = [options.caption.model_variant] if Shapes.CAPTION in shaped else []
    wanted += [options.enhancer[0]] if Shapes.ENHANCED in shaped else []
    models = [find(name) for name in wanted]
    return {
        m.name: SetModel(repository=m.repository or m.name, revision=m.revision) for m in models
    }


def _option_differences(
    old: Options, new: Options, shaped: Iterable[Shapes | None]
) -> Iterator[Difference]:
    for group, name, _, flag in each_option():
        values = [getattr(getattr(options, group), name) for options in (old, new)]
        if getattr(old, group).shaped_by(name) in shaped and values[0] != values[1]:
            of_set, asked = _spelled(*values)
            yield Difference(what=flag.partition("/")[0], of_set=of_set, asked=asked)


def _spelled(*values: Any) -> list[str]:
    """Values as a person reads them, long texts from where they differ."""
    if any(isinstance(value, str) and len(value) > _LONGEST for value in values):
        texts = [value or "" for value in values]
        begin = next((i for i, (a, b) in enumerate(zip(*texts, strict=False)) if a != b), None)
        begin = min(map(len, texts)) if begin is None else begin
        begin = max(0, begin - _LONGEST // 3)
        values = tuple("…" * bool(begin) + text[begin:] if text else None for text in texts)
    return [_one(value) for value in values]


def _one(value: Any) -> str:
    if value is None:
        return "none"
    if isinstance(value, bool):
        return "on" if value else "off"
    if isinstance(value, str) and (" " in value or not value):
        return repr(textwrap.shorten(value, _LONGEST, placeholder=" …"))
    return str(value)
