"""Tables of named choices (tasks, methods, rules, ...), to which others can add entries."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, Generic, TypeVar, cast

from .checks import what_is
from .errors import (
    InvalidTypeError,
    InvalidValueError,
    MissingExtraError,
    Refusal,
    UnavailableError,
    warn_user,
)

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint

__all__ = ["Table"]

E = TypeVar("E")


class Table(Mapping[str, E], Generic[E]):
    """A table of named entries, in the order in which they were added.

    Parameters
    ----------
    what : str
        Word for an entry in messages, such as "task".
    group : str, optional
        Entry-point group by which installed packages add entries. It is looked up when the table
        is first read, and an entry is loaded when it is first asked for. They come last, by name;
        an entry that was added goes before one of an installed package of the same name.
    kind : type, optional
        Class of the entries. Default: anything.
    wanted : str
        What messages call such an entry, and how one is made.
    named : bool, optional
        Whether an entry that has a `name` must be entered under it. Default: if `kind` is given.

    Examples
    --------
    >>> from mcsc.tables import Table
    >>> numbers = Table("number")
    >>> numbers.add("one", 1)
    >>> numbers["one"]
    1
    >>> numbers.find("two")
    Traceback (most recent call last):
        ...
    mcsc.errors.InvalidValueError: number must be one of one; found 'two'
    """

    def __init__(
        self, what: str, group: str | None = None, *, kind: Any = object, wanted: str = "",
        named: bool | None = None,
    ) -> None:  # fmt: skip
        self.what, self.group, self.kind, self.wanted = what, group, kind, wanted
        self.named = kind is not object if named is None else named
        self._entries: dict[str, E] = {}
        self._plugins: dict[str, EntryPoint] | None = None
        self._told: set[str] = set()

    def add(self, name: str, entry: E) -> None:
        """Add an entry.

        Raises
        ------
        TypeError
            The entry is none of this table's kind; the message says what is wanted.
        ValueError
            The name is empty, or taken: `remove` the other entry first. Or the entry calls itself
            otherwise.
        """
        if not isinstance(name, str) or not name:
            raise InvalidValueError(f"a {self.what} needs a name; found {name!r}")
        if name in self._entries:
            raise InvalidValueError(f"there is a {self.what} {name} already: remove it first")
        self.check(name, entry)
        self._entries[name] = entry

    def check(self, name: str, entry: Any) -> None:
        """Refuse what is no entry of this table, by the name under which it is to be found."""
        if not isinstance(entry, self.kind):
            raise InvalidTypeError(
                f"the {self.what} {name} must be {self.wanted}; found {what_is(entry)}"
            )
        own = getattr(entry, "name", name)
        # Results, files and other processes know an entry by the name that it has itself.
        if self.named and own != name:
            raise InvalidValueError(f"the {self.what} {name} calls itself {own!r}: want one name")

    def remove(self, name: str) -> None:
        """Take an entry out.

        Raises
        ------
        ValueError
            There is no entry of this name; the message lists the names there are.
        """
        self._require(name)
        self._entries.pop(name, None)
        self._found().pop(name, None)

    def find(self, name: str) -> E:
        """Return the entry of a name, or refuse a name that is not there.

        Raises
        ------
        ValueError
            There is no entry of this name; the message lists the names there are.
        ModuleNotFoundError
            The entry is from another package, which needs something that is not installed.
        RuntimeError
            The entry is from another package, and cannot be loaded.
        TypeError
            The entry is from another package, and is none of this table's kind.
        """
        self._require(name)
        return self[name]

    def available(self) -> dict[str, E]:
        """All entries; one of another package that cannot be used costs a warning, once."""
        return dict(self.loaded())

    def loaded(self) -> Iterator[tuple[str, E]]:
        """Names and entries one by one, each loaded when it is its turn, as in `available`."""
        for name in self:
            try:
                entry = self[name]
            except Refusal as error:  # which says whose it is
                if name not in self._told:
                    self._told.add(name)
                    warn_user(str(error))
            else:
                yield name, entry

    def __getitem__(self, name: str) -> E:
        if name not in self._entries and name in self._found():
            self._entries[name] = self._load(self._found()[name])
        return self._entries[name]

    def __iter__(self) -> Iterator[str]:
        # Installed packages are looked for only if the entries that are here do not suffice.
        own = list(self._entries)
        yield from own
        yield from [name for name in self._found() if name not in own]

    def __len__(self) -> int:
        return len(self._entries.keys() | self._found().keys())

    def __contains__(self, name: object) -> bool:
        return name in self._entries or name in self._found()

    def __repr__(self) -> str:
        return f"<table of {len(self)}, {self.what}: {', '.join(self)}>"

    def _require(self, name: str) -> None:
        if name not in self:
            raise InvalidValueError(f"{self.what} must be one of {', '.join(self)}; found {name!r}")

    def _found(self) -> dict[str, EntryPoint]:
        if self._plugins is None:
            self._plugins = {}
            if self.group is not None:
                from importlib.metadata import entry_points

                found = sorted(entry_points(group=self.group), key=lambda entry: entry.name)
                self._plugins = {entry.name: entry for entry in found}
        return self._plugins

    def _load(self, entry: EntryPoint) -> E:
        """Load an entry of an installed package."""
        package = entry.dist.name if entry.dist else entry.module.partition(".")[0]
        try:
            found = entry.load()
            self.check(entry.name, found)
        except Refusal as error:
            raise type(error)(f"{error} (of the package {package}: {entry.value})") from error
        except ModuleNotFoundError as error:
            raise MissingExtraError(
                f"the {self.what} {entry.name} needs {error.name}, which is not installed: see "
                f"the extras of the package {package}, as in pip install 'mcsc[unfolded]'"
            ) from error
        except Exception as error:  # whatever somebody else's module raises
            words = " ".join(f"{type(error).__name__}: {error}".split())
            raise UnavailableError(
                f"the {self.what} {entry.name} of the package {package}, {entry.value}, cannot be "
                f"loaded: {words}"
            ) from error
        return cast("E", found)
