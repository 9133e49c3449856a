"""The pickle machine, with the few instructions that files of arrays need.

A pickle is a program for a stack machine. Python's own machine sets aside what a program asks for, hashes whatever it
builds and lets containers hold each other, so a few bytes can ask for gigabytes, or for a hash that takes longer than
anybody waits. This one has 37 of its 68 instructions, and what it builds is flat:

- a tuple has at most 16 items: numbers, texts, records, and tuples of these;
- a list holds numbers and texts; a dictionary's keys are numbers and texts, its values are no dictionaries;
- whole numbers have at most 32 bits, and there are no others;
- a global is a record class of the reader's, looked up by its name and never imported.

Time and memory are therefore proportional to the file's length, whatever it holds.
"""

from __future__ import annotations

import pickletools
import struct
from collections.abc import Callable, Mapping
from typing import Any

_HIGHEST = 10_000  # values on the stack; pickle's writers add to containers in batches of 1,000
_LONGEST = 16  # items of a tuple; the state of an array's type, the longest of ours, has 9
_NAMES = {ord(opcode.code): opcode.name for opcode in pickletools.opcodes}
_STOP = ord(".")


class Record:
    """A stand-in for an object that a pickle builds: made by a call of a global, then given a state."""

    def set_state(self, state: Any) -> None:
        """Take the state that the pickle has. Raises ValueError, TypeError, IndexError or KeyError for a bad one."""
        raise TypeError("a state for an object that has none")


#: Finds the maker of records for a module and a name; raises an error of its own for a name that is not admitted.
Find = Callable[[str, str], Callable[..., Any]]


class _Global:
    """A maker of records on the stack. A class of its own, so that no value of a file can be taken for one."""

    def __init__(self, make: Callable[..., Any]) -> None:
        self.make = make


_SCALARS = frozenset({int, str, bytes, bool, type(None)})
_KEYS = frozenset({int, str, bytes})


class PickleProgram:
    """A pickle that is run once.

    find: gives the maker of records for a global's module and name. Raises ValueError, TypeError, IndexError, KeyError
    or struct.error in `run` if the program is truncated, malformed, or needs more than this machine has.
    """

    def __init__(self, content: bytes, find: Find) -> None:
        self._content = content
        self._find = find
        self._position = 0
        self._stack: list[Any] = []
        self._marks: list[int] = []
        self._memo: dict[int, Any] = {}

    def run(self) -> Any:
        """The object that the program leaves on the stack."""
        actions, content, stack = self._actions(), self._content, self._stack
        while (code := content[self._position]) != _STOP:
            self._position += 1
            if code not in actions:
                name = _NAMES.get(code, f"0x{code:02x}")
                raise ValueError(f"instruction {name} at byte {self._position - 1}, which no file of arrays needs")
            actions[code]()
            if len(stack) > _HIGHEST:
                raise ValueError(f"more than {_HIGHEST} values on the stack")
        return stack[-1]

    def _actions(self) -> Mapping[int, Callable[[], None]]:
        push, read = self._stack.append, self._number
        actions: dict[bytes, Callable[[], None]] = {
            b"\x80": lambda: self._skip(1),  # the protocol
            b"\x95": lambda: self._skip(8),  # a frame
            b"(": lambda: self._marks.append(len(self._stack)),
            b"N": lambda: push(None),
            b"\x88": lambda: push(True),
            b"\x89": lambda: push(False),
            b"K": lambda: push(read(_BYTE)),
            b"M": lambda: push(read(_SHORT)),
            b"J": lambda: push(read(_SIGNED)),
            b"U": lambda: push(self._bytes(read(_BYTE))),
            b"T": lambda: push(self._bytes(read(_LONG))),
            b"C": lambda: push(self._bytes(read(_BYTE))),
            b"B": lambda: push(self._bytes(read(_LONG))),
            b"\x8c": lambda: push(self._bytes(read(_BYTE)).decode()),
            b"X": lambda: push(self._bytes(read(_LONG)).decode()),
            b")": lambda: push(()),
            b"\x85": lambda: self._tuple(len(self._stack) - 1),
            b"\x86": lambda: self._tuple(len(self._stack) - 2),
            b"\x87": lambda: self._tuple(len(self._stack) - 3),
            b"t": lambda: self._tuple(self._marks.pop()),
            b"]": lambda: push([]),
            b"a": lambda: self._extend(len(self._stack) - 1),
            b"e": lambda: self._extend(self._marks.pop()),
            b"}": lambda: push({}),
            b"s": lambda: self._set_items(len(self._stack) - 2),
            b"u": lambda: self._set_items(self._marks.pop()),
            b"q": lambda: self._remember(read(_BYTE)),
            b"r": lambda: self._remember(read(_LONG)),
            b"\x94": lambda: self._remember(len(self._memo)),
            b"h": lambda: push(self._memo[read(_BYTE)]),
            b"j": lambda: push(self._memo[read(_LONG)]),
            b"c": lambda: self._global(self._line(), self._line()),
            b"\x93": self._stack_global,
            b"R": self._call,
            b"\x81": self._call,
            b"b": self._set_state,
        }
        return {code[0]: action for code, action in actions.items()}

    def _skip(self, size: int) -> None:
        self._position += size

    def _number(self, form: struct.Struct) -> int:
        (number,) = form.unpack_from(self._content, self._position)
        self._position += form.size
        return int(number)

    def _bytes(self, size: int) -> bytes:
        end = self._position + size
        if end > len(self._content):
            raise ValueError(f"{size} bytes announced where {len(self._content) - self._position} are left")
        piece = self._content[self._position : end]
        self._position = end
        return piece

    def _line(self) -> str:
        end = self._content.index(b"\n", self._position)
        line = self._bytes(end - self._position)
        self._position += 1
        return line.decode()

    def _take(self, start: int) -> list[Any]:
        """The values from `start` on, off the stack."""
        if not 0 <= start <= len(self._stack):
            raise ValueError("too few values on the stack")
        values = self._stack[start:]
        del self._stack[start:]
        return values

    def _tuple(self, start: int) -> None:
        items = tuple(self._take(start))
        if len(items) > _LONGEST or not all(_may_be_in_a_tuple(item) for item in items):
            raise ValueError("a tuple that is too long, too deep or holds a list or a dictionary")
        self._stack.append(items)

    def _extend(self, start: int) -> None:
        items, target = self._take(start), self._stack[-1]
        if type(target) is not list or not _SCALARS.issuperset(map(type, items)):
            raise TypeError("a list of something else than numbers")
        target.extend(items)

    def _set_items(self, start: int) -> None:
        items, target = self._take(start), self._stack[-1]
        keys, values = items[::2], items[1::2]
        if type(target) is not dict or not _KEYS.issuperset(map(type, keys)):
            raise TypeError("a dictionary whose keys are no numbers")
        if dict in map(type, values):
            raise TypeError("a dictionary in a dictionary")
        target.update(zip(keys, values, strict=True))

    def _remember(self, index: int) -> None:
        self._memo[index] = self._stack[-1]

    def _global(self, module: str, name: str) -> None:
        self._stack.append(_Global(self._find(module, name)))

    def _stack_global(self) -> None:
        module, name = self._take(len(self._stack) - 2)
        if not isinstance(module, str) or not isinstance(name, str):
            raise TypeError("a global without a name")
        self._global(module, name)

    def _call(self) -> None:
        function, arguments = self._take(len(self._stack) - 2)
        if not isinstance(function, _Global) or type(arguments) is not tuple:
            raise TypeError("a call of something that is no class of arrays")
        self._stack.append(function.make(*arguments))

    def _set_state(self) -> None:
        (state,) = self._take(len(self._stack) - 1)
        target = self._stack[-1]
        if not isinstance(target, Record):
            raise TypeError("a state for an object that has none")
        target.set_state(state)


_BYTE, _SHORT, _LONG, _SIGNED = (struct.Struct(form) for form in ("<B", "<H", "<I", "<i"))


def _may_be_in_a_tuple(item: Any) -> bool:
    if isinstance(item, tuple):
        return not any(isinstance(part, tuple) for part in item)
    return not isinstance(item, (list, dict))
